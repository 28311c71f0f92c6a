"""Which graphics card is used, if any, and why: one that draws and says so, tried out in a child process."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from owtmix.base.errors import EncoderLost, Problem, RenderError, SpecError
from owtmix.base.geometry import Orientation, Rect, ResizeMode, Size
from owtmix.plan.device import RenderDevice
from owtmix.plan.media_info import Matrix
from owtmix.workers.base import TaskReporter
from owtmix.workers.local import WorkerPool

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from owtmix.compositor.base import Canvas, ComposedFrame
    from owtmix.compositor.gpu.device import GpuDevice

EXTRAS: Final = "the extra cuda12 or cuda13 of owtmix is not installed"
TRIAL_MEMORY: Final = 64 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """A card that draws; ``encodes`` tells of its encoder."""

    number: int
    model: str
    encodes: bool


@dataclass(frozen=True, slots=True)
class GpuCheckTask:
    """Try out card ``number``, or the first that works; what is wrong with them is a RenderError."""

    result: ClassVar = GpuInfo
    number: int | None
    name = "the graphics card"

    def run(self, reporter: TaskReporter) -> GpuInfo:
        try:
            from owtmix.compositor.gpu.cuda import gpu_count, open_device
        except ImportError as error:
            raise RenderError(f"CuPy cannot be loaded: {error}") from None
        from owtmix.compositor.gpu.device import DeviceError

        reasons = []
        try:
            visible = range(gpu_count())
        except DeviceError as error:
            raise RenderError(str(error)) from None
        if self.number is not None and self.number not in visible:
            raise RenderError(f"there is no cuda:{self.number}, but {len(visible)} cards, counted from 0")
        for number in visible if self.number is None else [self.number]:
            reporter.advance(float(number))
            try:
                device = open_device(number)
                try_drawing(device)
                return GpuInfo(number, device.model, encodes(device, number))
            except DeviceError as error:
                reasons.append(str(error))
        raise RenderError("; ".join(reasons) or "no card is visible")


def choose_device(executor: WorkerPool, wanted: str, memory: int) -> RenderDevice:
    """What ``--device wanted`` stands for here: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Args:
        executor: tries out the cards.
        wanted: the option.
        memory: how many bytes of a card's memory one process may take.

    Raises:
        SpecError: a card was asked for, and does not work.
    """
    render_device = _chosen(executor, wanted, memory)
    _log.info("composing on %s: %s", "the CPU" if render_device.gpu is None else render_device.name, render_device.why)
    return render_device


def _chosen(executor: WorkerPool, wanted: str, memory: int) -> RenderDevice:
    if wanted == "cpu":
        return RenderDevice("--device cpu")
    found = _try_out(executor, wanted)
    if isinstance(found, GpuInfo):
        encoder = "and encodes" if found.encodes else "and does not encode H.264"
        return RenderDevice(f"{found.model} draws {encoder}", found.number, found.encodes, memory)
    if wanted != "auto":
        raise SpecError(Problem("", f"--device {wanted}: {found}; --device cpu or auto composes without a card"))
    return RenderDevice(found)


def _try_out(executor: WorkerPool, wanted: str) -> GpuInfo | str:
    """The card, or why there is none."""
    if find_spec("cupy") is None:
        return EXTRAS
    number = int(wanted.partition(":")[2] or 0) if wanted != "auto" else None
    found: GpuInfo | str = ""
    for outcome in executor.run([GpuCheckTask(number)], alone=True):
        found = outcome.value or str(outcome.error or f"trying it out {outcome.death}")
    return found


def try_drawing(device: GpuDevice) -> None:
    """Draw a frame, which must be the one that the CPU draws.

    Raises:
        DeviceError: it is not, or none is drawn.
    """
    from owtmix.compositor.cpu import CpuCanvas, planes
    from owtmix.compositor.gpu.canvas import GpuCanvas
    from owtmix.compositor.gpu.device import DeviceError

    size, ground = Size(320, 192), (60, 100, 140)
    drawn = []
    for canvas in (
        GpuCanvas(device, TRIAL_MEMORY, size, ground, ResizeMode.FIT, "bt709"),
        CpuCanvas(size, ground, ResizeMode.FIT, "bt709"),
    ):
        composed = next(_frames(canvas))
        drawn.append(b"".join(plane.tobytes() for plane in planes(composed.frame)))
        composed.release()
    if drawn[0] != drawn[1]:
        raise DeviceError(f"{device.name} draws something else than it is told")


def encodes(device: GpuDevice, card: int | None) -> bool:
    """Whether the encoder of ``card`` takes frames that ``device`` has drawn; without it they are in main memory."""
    from owtmix.compositor.gpu.canvas import GpuCanvas
    from owtmix.compositor.gpu.device import DeviceError
    from owtmix.jobfile.spec import VideoSpec
    from owtmix.media.writers import VideoWriter
    from owtmix.plan.encoders import nvenc

    video = VideoSpec(Size(320, 192), 10, 200, "high")
    with tempfile.TemporaryDirectory(prefix="owtmix-") as folder:
        try:
            canvas = GpuCanvas(device, TRIAL_MEMORY, video.size, (60, 100, 140), ResizeMode.FIT, "bt709", on_gpu=True)
            encoding = nvenc(video, card or 0)
            writer = VideoWriter(Path(folder) / "trial.mp4", video.size, video.fps, "bt709", encoding, card)
            for number, composed in enumerate(_frames(canvas)):
                writer.write(composed.frame, number)
                composed.release()
            writer.close()
        except (EncoderLost, DeviceError) as error:
            _log.debug("%s encodes nothing: %s", device.name, error)
            return False
    return True


@dataclass(frozen=True, slots=True)
class TestFrame:
    """A grey picture."""

    frame: VideoFrame
    sar: Fraction = Fraction(1)
    orientation: Orientation = Orientation.UPRIGHT
    matrix: Matrix = "bt709"
    full_range: bool = False
    interlaced: bool = False


def _frames(canvas: Canvas) -> Iterator[ComposedFrame]:
    """A grey square that grows, in three frames."""
    import numpy as np
    from av.video.frame import VideoFrame

    square = TestFrame(VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), "yuv420p"))
    scaler = canvas.scaler()
    for side in (64, 128, 192):
        yield canvas.compose([scaler.fit(square, Rect(0, 0, side, side), side)])
