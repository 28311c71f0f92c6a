"""A fake GPU for whole jobs: its kernel runs on the host. Workers import this module.

``how`` says how it fails: ``lost``, ``full``, ``hangs``, or ``works``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.gpu.device import Fence
from owtmix.compositor.gpu.kernel_cache import Kernel
from owtmix.media.writers import VideoWriter
from owtmix.plan.device import RenderDevice
from owtmix.plan.encoders import NVENC
from owtmix.plan.media_info import Matrix
from owtmix.plan.model import VideoEncoding
from owtmix.produce.gpu_check import GpuCheckTask, GpuInfo
from owtmix.produce.tasks import AudioTask, ChunkTask, RenderSetup, SuspectTask
from owtmix.render.context import RenderContext
from owtmix.workers.base import TaskReporter
from tests.produce.faulty_tasks import with_setup
from tests.support.card.host_card import HostCard

FRAMES_BEFORE_FAILURE: Final = 5
"""Number of frames that are composed before it fails."""


class SilentReporter:
    """A ``TaskReporter`` that ignores all."""

    def advance(self, done_s: float) -> None: ...
    def checkpoint(self, done_s: float) -> None: ...
    def heartbeat(self) -> None:
        pass

    def warn(self, message: str) -> None: ...


class FakeGpu(HostCard):
    name = "cuda:0"
    model = "Fake GPU"
    kernel = Kernel("0" * 64)

    def __init__(self, how: str) -> None:
        super().__init__(free_bytes=1 << 18 if how == "full" else 1 << 28)
        self._how = how

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        super().launch(batch, grid, after, fence)
        if self.launches > FRAMES_BEFORE_FAILURE and self._how == "hangs":
            time.sleep(3600)
        self.lost = self.launches > FRAMES_BEFORE_FAILURE and self._how == "lost"


class FakeGpuWriter(VideoWriter):
    """Encodes with x264 in place of the GPU's encoder."""

    def __init__(
        self, path: Path, size: Size, fps: int, matrix: Matrix, encoding: VideoEncoding, _gpu: int | None = None
    ) -> None:
        if encoding.encoder == NVENC:
            settings = (("preset", "ultrafast"), ("x264-params", "stitchable=1:bframes=0:scenecut=0:open-gop=0"))
            encoding = replace(encoding, encoder="libx264", options=settings)
        super().__init__(path, size, fps, matrix, encoding)


class HangingWriter(FakeGpuWriter):
    """Hangs where the GPU's encoder is to be used."""

    def __init__(self, *arguments: Any) -> None:
        if NVENC in (encoding.encoder for encoding in arguments if isinstance(encoding, VideoEncoding)):
            time.sleep(3600)
        super().__init__(*arguments)


@dataclass(frozen=True, slots=True)
class FakeGpuSetup(RenderSetup):
    """Composes on the fake GPU. With ``has_encoder`` it also encodes, and hangs where the GPU has hung before."""

    how: str = "works"
    has_encoder: bool = False

    def load(self) -> RenderContext:
        context = replace(RenderSetup.load(self), open_gpu=self._open_gpu)
        if not self.has_encoder:
            return context
        hangs = self.device.gpu is None and self.how == "hangs"
        return replace(context, open_writer=HangingWriter if hangs else FakeGpuWriter)

    def _open_gpu(self, device: RenderDevice) -> FakeGpu | None:
        return None if device.gpu is None else FakeGpu(self.how)


@dataclass(frozen=True, slots=True)
class FakeGpuCheckTask:
    """Finds a GPU that composes and, with ``encodes``, encodes: on that place of the PCI ``bus``."""

    result: ClassVar = GpuInfo
    encodes: bool
    bus: str
    name = "the GPU"

    def run(self, _reporter: TaskReporter) -> GpuInfo:
        return GpuInfo(0, "Fake GPU", self.encodes, self.bus)


def on_fake_gpu(how: str, *, encodes: bool, has_encoder: bool) -> Callable[[Any], Any]:
    """Replaces tasks by those on a fake GPU.

    If ``encodes``, its check finds an encoder; if ``has_encoder``, it has one.
    """

    def exchange(task: Any) -> Any:
        match task:
            case GpuCheckTask(preferred=preferred):
                return FakeGpuCheckTask(encodes, "".join(preferred[:1]))
            case ChunkTask() | AudioTask() | SuspectTask():
                return with_setup(task, FakeGpuSetup, how=how, has_encoder=has_encoder)
        return task

    return exchange
