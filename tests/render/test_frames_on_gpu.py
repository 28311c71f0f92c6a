"""A busy room on the canvas of a card, whose kernel runs on the host."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from owtmix.compositor.gpu.canvas import GpuCanvas
from owtmix.compositor.gpu.device import DeviceError
from owtmix.compositor.overlay import colour_to_yuv
from owtmix.render.results import RenderResult
from owtmix.render.video_track import Material
from tests.compositor.gpu.lazy_device import LazyDevice
from tests.render.footage import busy_room, draw, picture_of

FRAMES: Final = 90
LEAST_PSNR_DB: Final = 45.0


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return busy_room(tmp_path_factory.mktemp("busy"))


def canvas(material: Material, device: LazyDevice) -> GpuCanvas:
    picture = picture_of(material)
    background = colour_to_yuv(picture.background, picture.matrix)
    return GpuCanvas(device, 64 << 20, picture.canvas, background, picture.resize_mode, picture.matrix)


def test_any_range_has_the_pixels_of_the_whole_run_and_looks_as_on_the_cpu(busy: Material) -> None:
    whole = draw(busy, range(FRAMES), canvas=canvas(busy, LazyDevice()))
    for frames in (range(13, 16), range(31, 52), range(89, 90)):
        assert draw(busy, frames, canvas=canvas(busy, LazyDevice())) == whole[frames.start : frames.stop]
    for on_cpu, on_card in zip(draw(busy, range(FRAMES)), whole, strict=True):
        error = np.frombuffer(on_cpu, np.uint8).astype(np.int16) - np.frombuffer(on_card, np.uint8)
        assert np.mean(error**2) <= 255**2 / 10 ** (LEAST_PSNR_DB / 10)


def test_a_card_that_fails_is_not_taken_for_a_recording_that_does(busy: Material) -> None:
    device, notes = LazyDevice(), RenderResult()
    composing = canvas(busy, device)
    device.lost = True
    with pytest.raises(DeviceError, match="lazy:0 is lost"):
        draw(busy, range(5), notes, composing)
    assert not notes.failures
