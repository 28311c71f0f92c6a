"""A graphics card that is none, for whole jobs: its kernel runs on the host. Children import this module.

What is wrong with it is told by ``why`` of the job's render_device: ``lost``, ``full``, ``hangs`` or ``works``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from av.codec.hwaccel import HWAccel
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.gpu.device import Fence
from owtmix.media.writers import VideoWriter
from owtmix.plan.encoders import NVENC
from owtmix.plan.media_info import Matrix
from owtmix.plan.model import VideoEncoding
from owtmix.produce.tasks import RenderSetup
from owtmix.render.video_track import Material
from tests.compositor.gpu.lazy_device import LazyDevice, seen

MODULE: Final = "owtmix.compositor.gpu.cuda"
AFTER: Final = 5
"""So many frames are drawn before something goes wrong."""


class Silent:
    """A reporter that nobody listens to."""

    def advance(self, done_s: float) -> None: ...
    def checkpoint(self, done_s: float) -> None: ...
    def heartbeat(self) -> None:
        pass

    def warn(self, message: str) -> None: ...


class StandIn(LazyDevice):
    name = "cuda:0"
    model = "Stand-in"

    def __init__(self, how: str) -> None:
        super().__init__(room=1 << 18 if how == "full" else 1 << 28)
        self._how = how

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        super().launch(batch, grid, after, fence)
        if self.launches > AFTER and self._how == "hangs":
            time.sleep(3600)
        self.lost = self.launches > AFTER and self._how == "lost"

    def hardware(self) -> HWAccel:
        return HWAccel("cuda", "63", is_hw_owned=True)

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        return np.stack([seen(address + row * pitch, width) for row in range(rows)])


def install(how: str) -> None:
    """Let the one card of this process be a stand-in."""
    module: Any = ModuleType(MODULE)
    module.gpu_count = lambda: 1
    module.open_device = lambda _number: StandIn(how)
    sys.modules[MODULE] = module


@dataclass(frozen=True, slots=True)
class StandInStudio(RenderSetup):
    """Composes on the stand-in."""

    def material(self) -> Material:
        if self.render_device.gpu is not None:
            install(self.render_device.why)
        return RenderSetup.material(self)


class StandInWriter(VideoWriter):
    """The card's encoder is x264."""

    def __init__(
        self, path: Path, size: Size, fps: int, matrix: Matrix, encoding: VideoEncoding, _card: int | None = None
    ) -> None:
        if encoding.encoder == NVENC:
            settings = (("preset", "ultrafast"), ("x264-params", "stitchable=1:bframes=0:scenecut=0:open-gop=0"))
            encoding = replace(encoding, encoder="libx264", options=settings)
        super().__init__(path, size, fps, matrix, encoding)


class HangingWriter(StandInWriter):
    """It hangs, as the card does."""

    def __init__(self, *arguments: Any) -> None:
        if NVENC in (encoding.encoder for encoding in arguments if isinstance(encoding, VideoEncoding)):
            time.sleep(3600)
        super().__init__(*arguments)


@dataclass(frozen=True, slots=True)
class EncodingStudio(StandInStudio):
    """The stand-in has an encoder, which hangs where the card has hung before."""

    def material(self) -> Material:
        import owtmix.render.video_track  # noqa: PLC0415 - in the child

        hangs = self.render_device.gpu is None and "hangs" in self.render_device.why
        owtmix.render.video_track.VideoWriter = HangingWriter if hangs else StandInWriter  # type: ignore[attr-defined, assignment]
        return StandInStudio.material(self)
