"""A GPU with a clock: launches and copies are timed by its own events."""

from __future__ import annotations

from collections.abc import Callable

import cupy
from cupy.cuda import runtime

from owtmix.compositor.gpu.cuda import CudaDevice


class TimedGpu(CudaDevice):
    """GPU ``number``, whose launches draw ``frames`` at once."""

    def time_s(self, work: Callable[[], None]) -> float:
        """Seconds in which the GPU is busy with the launches and copies of ``work``."""
        with self.current():
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record(self._drawing)
            work()
            end.record(self._drawing)
            end.synchronize()
            return float(cupy.cuda.get_elapsed_time(start, end)) / 1000

    def copy(self, source: int, target: int, size: int) -> None:
        """Copy within the GPU's memory."""
        with self.current():
            runtime.memcpyAsync(target, source, size, runtime.memcpyDeviceToDevice, self._drawing.ptr)

    def used_mib(self) -> int:
        """How much of the GPU's memory is taken, by all programs together."""
        with self.current():
            free, total = runtime.memGetInfo()
            return int(total - free) >> 20
