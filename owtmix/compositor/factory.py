"""Makes the canvas that a picture is composed on: in main memory, or on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from owtmix.compositor.base import Canvas
from owtmix.compositor.cpu import CpuCanvas
from owtmix.compositor.gpu.canvas import GpuCanvas
from owtmix.compositor.gpu.device import GpuDevice
from owtmix.compositor.overlay import colour_to_yuv
from owtmix.plan.device import RenderDevice
from owtmix.plan.encoders import NVENC
from owtmix.plan.model import PicturePlan

if TYPE_CHECKING:
    from owtmix.compositor.gpu.cuda import CudaDevice


def make_canvas(picture: PicturePlan, gpu: GpuDevice | None = None, memory_bytes: int = 0) -> Canvas:
    """A canvas for ``picture``: on ``gpu``, of which it takes at most ``memory_bytes``, or in main memory.

    Frames stay on the GPU when its encoder encodes them.

    Raises:
        DeviceError: the GPU does not work.
    """
    background = colour_to_yuv(picture.background, picture.matrix)
    if gpu is None:
        return CpuCanvas(picture.canvas, background, picture.matrix)
    return GpuCanvas(
        gpu,
        memory_bytes,
        picture.canvas,
        background,
        picture.matrix,
        on_gpu=picture.encoding.encoder == NVENC,
    )


def open_gpu(device: RenderDevice) -> CudaDevice | None:
    """The GPU of ``device``, opened once in a process; None for the CPU.

    Raises:
        DeviceError: the GPU does not work.
    """
    if device.gpu is None:
        return None
    from owtmix.compositor.gpu.cuda import open_device  # noqa: PLC0415 - the only place that loads CuPy

    return open_device(device.gpu, device.kernels)
