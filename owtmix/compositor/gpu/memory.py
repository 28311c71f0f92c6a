"""Device memory that goes round: pieces are allocated while there is room, and used again for others of their size."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Final

from owtmix.compositor.gpu.device import DeviceError, GpuDevice, Memory

ALLOCATION_BYTES: Final = 1 << 16
"""Pieces are multiples of this, so that those of nearly equal size are used for each other."""


class DeviceBuffer:
    """A piece of memory, given back once nobody refers to it.

    Who lets the device read or write it keeps it until the device is done.
    """

    def __init__(self, memory: Memory, size: int, free: deque[tuple[int, Memory]]) -> None:
        self.address = memory.address
        self._memory = memory
        self._size = size
        self._free = free

    def __del__(self) -> None:
        self._free.append((self._size, self._memory))  # one step, whatever thread this is


class DeviceMemoryPool:
    """Pieces of a device's memory, never more than ``limit`` bytes in all."""

    def __init__(self, device: GpuDevice, limit: int) -> None:
        self._device = device
        self._limit = limit
        self._used = 0
        self._free: deque[tuple[int, Memory]] = deque()
        self._lock = Lock()

    def take(self, size: int) -> DeviceBuffer:
        """A piece of at least ``size`` bytes.

        Raises:
            DeviceError: the limit is reached, or the device is full.
        """
        size = -(-size // ALLOCATION_BYTES) * ALLOCATION_BYTES
        with self._lock:
            for _ in range(len(self._free)):
                found, memory = self._free.popleft()
                if found == size:
                    return DeviceBuffer(memory, size, self._free)
                self._free.append((found, memory))
            while self._used + size > self._limit and self._free:
                found, _ = self._free.popleft()
                self._used -= found
            if self._used + size > self._limit:
                raise DeviceError(
                    f"{self._device.name} would take more than {self._limit >> 20} MiB of its memory: "
                    "gpu.memory_mib in conf/owt.toml allows no more"
                )
            memory = self._device.allocate(size)
            self._used += size
            return DeviceBuffer(memory, size, self._free)
