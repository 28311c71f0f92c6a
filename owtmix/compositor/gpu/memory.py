"""A pool of GPU memory: buffers are reused for others of the same size, and limited in all."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Final

from owtmix.compositor.gpu.device import DeviceError, GpuDevice, Memory

ALLOCATION_BYTES: Final = 1 << 16
"""Buffer sizes are multiples of this, so that buffers of nearly equal size can replace each other."""


class DeviceBuffer:
    """A buffer in the GPU's memory, returned to its pool when it is garbage.

    The caller keeps it until all work of the GPU on it is done.
    """

    def __init__(self, memory: Memory, size: int, free: deque[tuple[int, Memory]]) -> None:
        self.address = memory.address
        self._memory = memory
        self._size = size
        self._free = free

    def __del__(self) -> None:
        self._free.append((self._size, self._memory))  # atomic: finalizers run in any thread


class DeviceMemoryPool:
    """Buffers of a GPU's memory, up to ``limit`` bytes in all. Thread-safe."""

    def __init__(self, device: GpuDevice, limit: int) -> None:
        self._device = device
        self._limit = limit
        self._used = 0
        self._free: deque[tuple[int, Memory]] = deque()
        self._lock = Lock()

    def take(self, size: int) -> DeviceBuffer:
        """A buffer of at least ``size`` bytes.

        Raises:
            DeviceError: the limit is reached, or the GPU is out of memory.
        """
        size = -(-size // ALLOCATION_BYTES) * ALLOCATION_BYTES
        with self._lock:
            for _ in range(len(self._free)):
                free_size, memory = self._free.popleft()
                if free_size == size:
                    return DeviceBuffer(memory, size, self._free)
                self._free.append((free_size, memory))
            while self._used + size > self._limit and self._free:
                free_size, _ = self._free.popleft()
                self._used -= free_size
            if self._used + size > self._limit:
                raise DeviceError(
                    f"{self._device.name} would take more than {self._limit >> 20} MiB of its memory: "
                    "gpu.memory_mib in conf/owt.toml allows no more"
                )
            memory = self._device.allocate(size)
            self._used += size
            return DeviceBuffer(memory, size, self._free)
