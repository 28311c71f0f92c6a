"""The canvas that a picture is drawn on: in main memory, or on the graphics card that it is equipped with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from owtmix.compositor.base import Canvas
from owtmix.compositor.cpu import CpuCanvas
from owtmix.compositor.gpu.canvas import GpuCanvas
from owtmix.compositor.overlay import colour_to_yuv
from owtmix.plan.device import RenderDevice
from owtmix.plan.encoders import NVENC
from owtmix.plan.model import PicturePlan

if TYPE_CHECKING:
    from owtmix.compositor.gpu.cuda import CudaDevice


def make_canvas(picture: PicturePlan, render_device: RenderDevice) -> Canvas:
    """A canvas for ``picture``; where the card encodes too, frames stay on it.

    Raises:
        DeviceError: the card does not work.
    """
    background = colour_to_yuv(picture.background, picture.matrix)
    device = open_gpu(render_device)
    if device is None:
        return CpuCanvas(picture.canvas, background, picture.resize_mode, picture.matrix)
    return GpuCanvas(
        device,
        render_device.memory_bytes,
        picture.canvas,
        background,
        picture.resize_mode,
        picture.matrix,
        on_gpu=picture.encoding.encoder == NVENC,
    )


def open_gpu(render_device: RenderDevice) -> CudaDevice | None:
    """The card, opened once in a process; None where there is none.

    Raises:
        DeviceError: it does not work.
    """
    if render_device.gpu is None:
        return None
    from owtmix.compositor.gpu.cuda import open_device  # noqa: PLC0415 - nobody else loads CuPy

    return open_device(render_device.gpu)
