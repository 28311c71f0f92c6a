"""Checks GPUs, in a worker, by composing and encoding."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from owtmix.base.errors import DestinationError, EncoderLost, RenderError
from owtmix.base.geometry import Orientation, Rect, ResizeMode, Size
from owtmix.compositor.gpu.kernel_cache import Kernel
from owtmix.jobfile.spec import VideoSpec
from owtmix.plan.encoders import nvenc
from owtmix.plan.media_info import Matrix
from owtmix.plan.model import VideoEncoding
from owtmix.plan.plausible import check_bounds
from owtmix.workers.base import Replies, TaskReporter
from owtmix.workers.card_list import bus_place

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from owtmix.compositor.base import Canvas, ComposedFrame
    from owtmix.compositor.gpu.device import GpuDevice

    class NamedGpu(GpuDevice, Protocol):
        """A GPU that knows its model, and the kernel that it loaded."""

        @property
        def model(self) -> str: ...
        @property
        def kernel(self) -> Kernel: ...


TRIAL_MEMORY: Final = 64 << 20
MOST_RESULT_BYTES: Final = 1 << 20
"""As JSON; a compiled kernel is in it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """A GPU that composes; ``encodes`` says whether its H.264 encoder was tried, and works.

    ``bus`` is its place on the PCI bus, ``kernel`` what it composed with.
    """

    number: int
    model: str
    encodes: bool
    bus: str = ""
    kernel: Kernel | None = None


@dataclass(frozen=True, slots=True)
class GpuCheckTask:
    """Check GPU ``number``, or find the first that works. Raises a RenderError that says what is wrong with them.

    A trial is encoded in ``folder``; by default in that for temporary files. Those on the ``preferred`` places of the
    PCI bus are tried first. A compiled kernel is looked for in ``kernels``; if there is none, the result has one.
    Without ``encoding`` the encoder is not tried, which would take a session that a job may hold.
    """

    result: ClassVar = GpuInfo
    replies: ClassVar = Replies.of(DestinationError, result_bytes=MOST_RESULT_BYTES)
    number: int | None
    folder: Path | None = None
    preferred: tuple[str, ...] = ()
    kernels: Path | None = None
    encoding: bool = True
    name = "the GPU"

    def check(self, value: GpuInfo) -> None:
        """As ``Bounded.check``."""
        check_bounds(replace(value, kernel=None))
        if value.kernel:
            value.kernel.check()

    def run(self, reporter: TaskReporter) -> GpuInfo:
        try:
            from owtmix.compositor.gpu.cuda import gpu_buses, open_device
        except ImportError as error:
            raise RenderError(f"CuPy cannot be loaded: {error}") from None

        open_gpu = partial(open_device, kernels=self.kernels)
        trial = partial(encodes, folder=self.folder) if self.encoding else _encodes_nothing
        return check_gpus(self.number, gpu_buses, open_gpu, reporter, self.preferred, trial)


def check_gpus(
    wanted: int | None,
    buses: Callable[[], Sequence[str]],
    open_gpu: Callable[[int], NamedGpu],
    reporter: TaskReporter,
    preferred: Sequence[str],
    try_encoder: Callable[[GpuDevice, int], bool],
) -> GpuInfo:
    """The first GPU that works, or the ``wanted`` one.

    Args:
        wanted: its number; None for any.
        buses: gives the places of the visible GPUs on the PCI bus, by their numbers.
        open_gpu: opens one.
        reporter: is told which is checked.
        preferred: places of those that are tried first, in that order.
        try_encoder: says whether the encoder of a GPU, by its number, works.

    Raises:
        RenderError: there is none; the message says what is wrong with each.
    """
    from owtmix.compositor.gpu.device import DeviceError

    reasons = []
    try:
        places = [bus_place(bus) for bus in buses()]
    except DeviceError as error:
        raise RenderError(str(error)) from None
    visible = range(len(places))
    if wanted is not None and wanted not in visible:
        raise RenderError(f"there is no cuda:{wanted}, but {len(visible)} GPUs, counted from 0")
    first = {place: rank for rank, place in enumerate(preferred)}
    ordered = sorted(visible, key=lambda number: first.get(places[number], len(first)))
    for number in ordered if wanted is None else [wanted]:
        reporter.advance(float(number))
        try:
            gpu = open_gpu(number)
            check_composing(gpu)
            return GpuInfo(number, gpu.model, try_encoder(gpu, number), places[number], gpu.kernel)
        except DeviceError as error:
            reasons.append(str(error))
    raise RenderError("; ".join(reasons) or "no GPU is visible")


def check_composing(device: GpuDevice) -> None:
    """Compose a frame, which must equal the CPU's.

    Raises:
        DeviceError: it differs, or the GPU composes none.
    """
    from owtmix.compositor.cpu import CpuCanvas, planes
    from owtmix.compositor.gpu.canvas import GpuCanvas
    from owtmix.compositor.gpu.device import DeviceError

    size, ground = Size(320, 192), (60, 100, 140)
    drawn = []
    for canvas in (
        GpuCanvas(device, TRIAL_MEMORY, size, ground, "bt709"),
        CpuCanvas(size, ground, "bt709"),
    ):
        composed = next(_frames(canvas))
        drawn.append(b"".join(plane.tobytes() for plane in planes(composed.frame)))
        composed.release()
    if drawn[0] != drawn[1]:
        raise DeviceError(f"{device.name} composes another frame than the CPU")


def encodes(
    device: GpuDevice,
    number: int | None,
    encoder: Callable[[VideoSpec, int], VideoEncoding] = nvenc,
    folder: Path | None = None,
) -> bool:
    """Whether the ``encoder`` of GPU ``number`` takes frames that ``device`` composed; without one they are copied."""
    from owtmix.compositor.gpu.canvas import GpuCanvas
    from owtmix.compositor.gpu.device import DeviceError
    from owtmix.media.writers import VideoWriter

    video = VideoSpec(Size(320, 192), 10, 200, "high")
    with tempfile.TemporaryDirectory(prefix="owtmix-", dir=folder) as trial:
        try:
            canvas = GpuCanvas(device, TRIAL_MEMORY, video.size, (60, 100, 140), "bt709", on_gpu=True)
            encoding = encoder(video, number or 0)
            writer = VideoWriter(Path(trial) / "trial.mp4", video.size, video.fps, "bt709", encoding, number)
            for frame_number, composed in enumerate(_frames(canvas)):
                writer.write(composed.frame, frame_number)
                composed.release()
            writer.close()
        except (EncoderLost, DeviceError) as error:
            _log.debug("%s encodes nothing: %s", device.name, error)
            return False
    return True


def _encodes_nothing(_device: GpuDevice, _number: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class TrialFrame:
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

    square = TrialFrame(VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), "yuv420p"))
    scaler = canvas.scaler(ResizeMode.FIT)
    for side in (64, 128, 192):
        yield canvas.compose([scaler.fit(square, Rect(0, 0, side, side), side)])
