"""Pinned staging buffers for uploads of decoded frames, used in turn."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.compositor.gpu.device import Fence, GpuDevice

BUFFERS: Final = 8
"""Uploads in flight before one waits for the first."""


class UploadBuffer:
    """A staging buffer of one upload; the caller sets ``fence`` with the upload."""

    def __init__(self, device: GpuDevice) -> None:
        self._device = device
        self._array: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.fence: Fence = device.fence()

    def reserve(self, size: int) -> NDArray[np.uint8]:
        """Wait for the previous upload; returns ``size`` bytes to fill.

        Raises:
            DeviceError: the GPU is lost.
        """
        self.fence.wait()
        if len(self._array) < size:
            self._array = self._device.pinned(size)
        return self._array[:size]


class UploadBuffers:
    """The staging buffers of one canvas. Thread-safe."""

    def __init__(self, device: GpuDevice) -> None:
        self._device = device
        self._buffers: deque[UploadBuffer] = deque()
        self._count = 0
        self._lock = Lock()

    def take(self) -> UploadBuffer:
        """The buffer returned longest ago; a new one while there are fewer than ``BUFFERS``, or all are taken."""
        with self._lock:
            if self._buffers and self._count >= BUFFERS:
                return self._buffers.popleft()
            self._count += 1
        return UploadBuffer(self._device)

    def give_back(self, buffer: UploadBuffer) -> None:
        """Return a buffer, after its fence was set."""
        with self._lock:
            self._buffers.append(buffer)
