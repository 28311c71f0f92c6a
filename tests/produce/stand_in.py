"""A GPU that is none, for whole jobs: its kernel runs on the host. Workers import this module.

What is wrong with it is told by ``how``: ``lost``, ``full``, ``hangs`` or ``works``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from av.codec.hwaccel import HWAccel
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.gpu.device import Fence
from owtmix.media.writers import VideoWriter
from owtmix.plan.device import RenderDevice
from owtmix.plan.encoders import NVENC
from owtmix.plan.media_info import Matrix
from owtmix.plan.model import VideoEncoding
from owtmix.produce.gpu_check import GpuCheckTask, GpuInfo
from owtmix.produce.tasks import AudioTask, ChunkTask, RenderSetup, SuspectTask
from owtmix.render.context import RenderContext
from owtmix.workers.base import TaskReporter
from tests.compositor.gpu.lazy_device import LazyDevice, memory_at
from tests.produce.rigged import with_setup

AFTER: Final = 5
"""So many frames are composed before something goes wrong."""


class SilentReporter:
    """A reporter that nobody listens to."""

    def advance(self, done_s: float) -> None: ...
    def checkpoint(self, done_s: float) -> None: ...
    def heartbeat(self) -> None:
        pass

    def warn(self, message: str) -> None: ...


class StandInGpu(LazyDevice):
    name = "cuda:0"
    model = "Stand-in"

    def __init__(self, how: str) -> None:
        super().__init__(free_bytes=1 << 18 if how == "full" else 1 << 28)
        self._how = how

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        super().launch(batch, grid, after, fence)
        if self.launches > AFTER and self._how == "hangs":
            time.sleep(3600)
        self.lost = self.launches > AFTER and self._how == "lost"

    def hardware(self) -> HWAccel:
        return HWAccel("cuda", "63", is_hw_owned=True)

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        return np.stack([memory_at(address + row * pitch, width) for row in range(rows)])


class StandInWriter(VideoWriter):
    """In place of the GPU's encoder it takes x264."""

    def __init__(
        self, path: Path, size: Size, fps: int, matrix: Matrix, encoding: VideoEncoding, _gpu: int | None = None
    ) -> None:
        if encoding.encoder == NVENC:
            settings = (("preset", "ultrafast"), ("x264-params", "stitchable=1:bframes=0:scenecut=0:open-gop=0"))
            encoding = replace(encoding, encoder="libx264", options=settings)
        super().__init__(path, size, fps, matrix, encoding)


class HangingWriter(StandInWriter):
    """Hangs where the GPU's encoder is to be used."""

    def __init__(self, *arguments: Any) -> None:
        if NVENC in (encoding.encoder for encoding in arguments if isinstance(encoding, VideoEncoding)):
            time.sleep(3600)
        super().__init__(*arguments)


@dataclass(frozen=True, slots=True)
class StandInSetup(RenderSetup):
    """Composes on the stand-in. With ``has_encoder`` it encodes, and hangs where the GPU has hung before."""

    how: str = "works"
    has_encoder: bool = False

    def load(self) -> RenderContext:
        context = replace(RenderSetup.load(self), open_gpu=self._open_gpu)
        if not self.has_encoder:
            return context
        hangs = self.device.gpu is None and self.how == "hangs"
        return replace(context, open_writer=HangingWriter if hangs else StandInWriter)

    def _open_gpu(self, device: RenderDevice) -> StandInGpu | None:
        return None if device.gpu is None else StandInGpu(self.how)


@dataclass(frozen=True, slots=True)
class StandInCheckTask:
    """Finds a GPU that composes, and encodes if ``encodes`` says so."""

    result: ClassVar = GpuInfo
    encodes: bool
    name = "the GPU"

    def run(self, _reporter: TaskReporter) -> GpuInfo:
        return GpuInfo(0, "Stand-in", self.encodes)


def on_stand_in(how: str, *, encodes: bool, has_encoder: bool) -> Callable[[Any], Any]:
    """Tasks on a stand-in that seems to encode if ``encodes`` says so, and does so if ``has_encoder`` does."""

    def exchange(task: Any) -> Any:
        match task:
            case GpuCheckTask():
                return StandInCheckTask(encodes)
            case ChunkTask() | AudioTask() | SuspectTask():
                return with_setup(task, StandInSetup, how=how, has_encoder=has_encoder)
        return task

    return exchange
