"""The seam between the canvas that draws on a graphics card and the card: memory, copies, launches and marks.

Everything is asynchronous: work of one kind is done in the order given, and marks tie the kinds together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Size


class DeviceError(Exception):
    """The device failed, is lost or full; the message says which, as in "cuda:0 ...". What was drawn on it is lost."""


class Fence(Protocol):
    """A point in a device's work; set again and again, it is where it was set last."""

    def wait(self) -> None:
        """Until the device has come so far.

        Raises:
            DeviceError: the device is lost.
        """


class Memory(Protocol):
    """A piece of the device's memory, free again once nobody refers to it."""

    @property
    def address(self) -> int: ...


class GpuDevice(Protocol):
    """A card. Any thread may call it.

    Every method raises DeviceError when the device fails.
    """

    @property
    def name(self) -> str:
        """As ``--device`` has it: ``cuda:0``."""

    def allocate(self, size: int) -> Memory:
        """``size`` bytes on the device."""

    def pinned(self, size: int) -> NDArray[np.uint8]:
        """``size`` bytes of main memory that is copied from and to without a detour."""

    def fence(self) -> Fence:
        """A mark that counts as reached until it is set."""

    def upload(self, source: NDArray[np.uint8], address: int, fence: Fence) -> None:
        """Copy to the device; ``source`` must stay, and stay as it is, until ``fence`` is reached."""

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        """Draw a ``Batch`` of ``canvas.launch`` once all of ``after`` are reached."""

    def download(self, address: int, target: NDArray[np.uint8], after: Fence, fence: Fence) -> None:
        """Copy into pinned memory."""

    def frame(self, address: int, size: Size, pitch: int) -> VideoFrame:
        """NV12 in the device's memory, as a frame that its encoder takes; what is drawn there later is seen in it."""

    def fence_decoding(self, fence: Fence) -> None:
        """Set ``fence`` behind what the card's decoders were told to do."""
