"""Pinned memory for pictures on their way to a device, used in turn."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.compositor.gpu.device import Fence, GpuDevice

BUFFERS: Final = 8
"""So many pictures are on their way before the first of them is waited for."""


class UploadBuffer:
    """Memory of one picture; ``fence`` is to be set when it is up."""

    def __init__(self, device: GpuDevice) -> None:
        self._device = device
        self._array: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.fence: Fence = device.fence()

    def of(self, size: int) -> NDArray[np.uint8]:
        """``size`` bytes, once what was there before is up.

        Raises:
            DeviceError: the device is lost.
        """
        self.fence.wait()
        if len(self._array) < size:
            self._array = self._device.pinned(size)
        return self._array[:size]


class UploadBuffers:
    """The slots of one canvas, for any thread."""

    def __init__(self, device: GpuDevice) -> None:
        self._device = device
        self._slots: deque[UploadBuffer] = deque()
        self._count = 0
        self._lock = Lock()

    def take(self) -> UploadBuffer:
        """The slot that was given back the longest ago, or a new one while there are few or all are taken."""
        with self._lock:
            if self._slots and self._count >= BUFFERS:
                return self._slots.popleft()
            self._count += 1
        return UploadBuffer(self._device)

    def give(self, slot: UploadBuffer) -> None:
        """Give back what was taken, once its mark is set."""
        with self._lock:
            self._slots.append(slot)
