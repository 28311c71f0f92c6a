"""The canvas that a picture is drawn on: in main memory, or on the graphics card that it is equipped with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from owtmix.compositor.base import Canvas
from owtmix.compositor.cpu import CpuCanvas
from owtmix.compositor.gpu.canvas import GpuCanvas
from owtmix.compositor.overlay import yuv
from owtmix.plan.device import Equipment
from owtmix.plan.encoders import NVENC
from owtmix.plan.model import Picture

if TYPE_CHECKING:
    from owtmix.compositor.gpu.cuda import CudaDevice


def make_canvas(picture: Picture, equipment: Equipment) -> Canvas:
    """A canvas for ``picture``; where the card encodes too, frames stay on it.

    Raises:
        DeviceError: the card does not work.
    """
    background = yuv(picture.background, picture.matrix)
    device = card(equipment)
    if device is None:
        return CpuCanvas(picture.canvas, background, picture.resize_mode, picture.matrix)
    return GpuCanvas(
        device,
        equipment.memory,
        picture.canvas,
        background,
        picture.resize_mode,
        picture.matrix,
        stays=picture.encoding.encoder == NVENC,
    )


def card(equipment: Equipment) -> CudaDevice | None:
    """The card, opened once in a process; None where there is none.

    Raises:
        DeviceError: it does not work.
    """
    if equipment.card is None:
        return None
    from owtmix.compositor.gpu.cuda import open_device  # noqa: PLC0415 - nobody else loads CuPy

    return open_device(equipment.card)
