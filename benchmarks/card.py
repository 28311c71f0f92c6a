"""A graphics card with a clock: launches and copies are timed by its own events."""

from __future__ import annotations

from collections.abc import Callable

import cupy
from cupy.cuda import runtime

from owtmix.compositor.gpu.cuda import CudaDevice


class TimedCard(CudaDevice):
    """Card ``number``, whose launches draw ``frames`` at once."""

    def time_s(self, work: Callable[[], None]) -> float:
        """How long the card is busy with the launches and copies of ``work``."""
        with self.at_work():
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record(self._drawing)
            work()
            end.record(self._drawing)
            end.synchronize()
            return float(cupy.cuda.get_elapsed_time(start, end)) / 1000

    def copy(self, source: int, target: int, size: int) -> None:
        """Copy within the card's memory."""
        with self.at_work():
            runtime.memcpyAsync(target, source, size, runtime.memcpyDeviceToDevice, self._drawing.ptr)

    def used_mib(self) -> int:
        """What of the card's memory is taken, by whomever."""
        with self.at_work():
            free, total = runtime.memGetInfo()
            return int(total - free) >> 20
