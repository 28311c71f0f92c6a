"""Makes the canvas of a plan: in main memory, or on a GPU."""

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
    """A canvas for ``picture``; frames stay in the GPU's memory when its encoder is used.

    Raises:
        DeviceError: the GPU does not work.
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
    """The GPU of ``render_device``, opened once per process; None for the CPU.

    Raises:
        DeviceError: the GPU does not work.
    """
    if render_device.gpu is None:
        return None
    from owtmix.compositor.gpu.cuda import open_device  # noqa: PLC0415 - CuPy is loaded for GPUs only

    return open_device(render_device.gpu)
