"""A card on the host: a ``LazyDevice`` with a clock, to which FFmpeg's decoders are refused."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import numpy as np
from av.codec.hwaccel import HWAccel
from numpy.typing import NDArray

from tests.support.card.lazy_device import LazyDevice, memory_at

NOT_THERE = "63"
"""The number of a GPU that no machine has."""


class HostCard(LazyDevice):
    """``copied`` counts the bytes of copies."""

    def __init__(self, free_bytes: int = 1 << 30) -> None:
        super().__init__(free_bytes)
        self._bytes = free_bytes
        self.copied = 0

    def time_s(self, work: Callable[[], None]) -> float:
        """Seconds that the launches and copies of ``work`` take."""
        start = time.perf_counter()
        work()
        fence = self.fence()
        fence.set(self._drawing)
        fence.wait()
        return time.perf_counter() - start

    def copy(self, source: int, target: int, size: int) -> None:
        """Copy within the memory of the card."""
        ctypes.memmove(target, source, size)
        self.copied += size

    def used_mib(self) -> int:
        """How much of its memory was ever taken."""
        return self._bytes - self.free_bytes >> 20

    def hardware(self) -> HWAccel:
        return HWAccel("cuda", NOT_THERE, is_hw_owned=True)

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        """Copy rows of ``width`` bytes, ``pitch`` bytes apart: uint8 (rows, width)."""
        return np.stack([memory_at(address + row * pitch, width) for row in range(rows)])
