"""The protocol of a GPU: memory, copies, launches and fences.

Work is asynchronous. Uploads, launches and downloads each run in order; fences order them among each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Size


class DeviceError(Exception):
    """The GPU failed, is lost or out of memory; the message begins with its name. What was drawn on it is lost."""


class Fence(Protocol):
    """A point in the work of a GPU. Reached at first; setting it again moves it."""

    def wait(self) -> None:
        """Wait until the fence is reached.

        Raises:
            DeviceError: the GPU is lost.
        """


class Memory(Protocol):
    """An allocation in the GPU's memory, freed when it is garbage."""

    @property
    def address(self) -> int: ...


class GpuDevice(Protocol):
    """A GPU. Thread-safe; every method raises DeviceError when the GPU fails."""

    @property
    def name(self) -> str:
        """As ``--device`` has it: ``cuda:0``."""

    def allocate(self, size: int) -> Memory:
        """Allocate ``size`` bytes of the GPU's memory."""

    def pinned(self, size: int) -> NDArray[np.uint8]:
        """Allocate ``size`` bytes of pinned main memory."""

    def fence(self) -> Fence:
        """A new fence."""

    def upload(self, source: NDArray[np.uint8], address: int, fence: Fence) -> None:
        """Copy to the GPU and set ``fence``; ``source`` must not change or be freed until it is reached."""

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        """Draw a batch of ``kernel_args.pack_batch`` once all of ``after`` are reached, and set ``fence``."""

    def download(self, address: int, target: NDArray[np.uint8], after: Fence, fence: Fence) -> None:
        """Copy into pinned memory once ``after`` is reached, and set ``fence``."""

    def frame(self, address: int, size: Size, pitch: int) -> VideoFrame:
        """Wrap NV12 in the GPU's memory as a frame for its encoder. The memory is shared, not copied."""

    def fence_decoding(self, fence: Fence) -> None:
        """Set ``fence`` after the decoding that was submitted so far."""
