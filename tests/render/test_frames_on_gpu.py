"""A busy room on the canvas of a GPU, whose kernel runs on the host."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from owtmix.compositor.base import Canvas
from owtmix.compositor.factory import make_canvas
from owtmix.compositor.gpu.device import DeviceError
from owtmix.render.context import RenderContext
from owtmix.render.results import RenderResult
from tests.render.rooms import busy_room, render
from tests.support.card.lazy_device import LazyDevice

FRAMES: Final = 90
LEAST_PSNR_DB: Final = 45.0


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> RenderContext:
    return busy_room(tmp_path_factory.mktemp("busy"))


def canvas(context: RenderContext, device: LazyDevice) -> Canvas:
    return make_canvas(context.picture, device, 64 << 20)


def test_any_range_has_the_pixels_of_the_whole_run_and_looks_as_on_the_cpu(busy: RenderContext) -> None:
    whole = render(busy, range(FRAMES), canvas=canvas(busy, LazyDevice()))
    for frames in (range(13, 16), range(31, 52), range(89, 90)):
        assert render(busy, frames, canvas=canvas(busy, LazyDevice())) == whole[frames.start : frames.stop]
    for on_cpu, on_gpu in zip(render(busy, range(FRAMES)), whole, strict=True):
        error = np.frombuffer(on_cpu, np.uint8).astype(np.int16) - np.frombuffer(on_gpu, np.uint8)
        assert np.mean(error**2) <= 255**2 / 10 ** (LEAST_PSNR_DB / 10)


def test_a_failure_of_the_gpu_is_no_failure_of_a_recording(busy: RenderContext) -> None:
    device, result = LazyDevice(), RenderResult()
    composing = canvas(busy, device)
    device.lost = True
    with pytest.raises(DeviceError, match="lazy:0 is lost"):
        render(busy, range(5), result, composing)
    assert not result.failures
