"""Where watermarks are drawn: from any corner, and images in another size."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.base.errors import SpecError
from owtmix.base.geometry import Anchor, Rect, Size
from owtmix.compositor.image_scale import scaled
from owtmix.compositor.overlays import Overlays
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import ImageWatermark, TextWatermark, Watermark
from owtmix.plan.build import make_plan
from owtmix.plan.model import PicturePlan
from tests.support.plans import ANNA, JOB, MIXER, both, index_of, room

CLIPS: Final = room(both(ANNA, 0, 4))
LOGO: Final = np.full((20, 40, 4), 255, np.uint8)


def picture_of(*marks: Watermark, images: dict[str, Size] | None = None) -> PicturePlan:
    job = replace(JOB, mixer=replace(MIXER, watermarks=marks))
    plan = make_plan(job, index_of(CLIPS), CLIPS, PlanSettings(), images=images or {})
    assert plan.picture
    return plan.picture


def drawn(mark: Watermark, image: NDArray[np.uint8] = LOGO) -> Rect:
    """What a watermark touches."""
    overlays = Overlays(picture_of(mark), {"logo.png": image}, lambda _: None, "UTC")
    (layer,) = overlays.watermarks([mark], Fraction(0))
    return layer.rect


@pytest.mark.parametrize(
    ("anchor", "x", "y"),
    [
        (Anchor.TOP_LEFT, 10, 6),
        (Anchor.TOP_RIGHT, 1280 - 10 - 40, 6),
        (Anchor.BOTTOM_LEFT, 10, 720 - 6 - 20),
        (Anchor.BOTTOM_RIGHT, 1280 - 10 - 40, 720 - 6 - 20),
    ],
)
def test_a_position_counts_from_its_corner(anchor: Anchor, x: int, y: int) -> None:
    assert drawn(ImageWatermark(10, 6, 1.0, "logo.png", anchor)) == Rect(x, y, 40, 20)


def test_each_that_is_drawn_shows_a_sign_of_life() -> None:
    """A long text with many marks takes seconds, and a frame may have thirty."""
    marks, beats = [TextWatermark(0, 0, 1.0, str(number)) for number in range(5)], []
    overlays = Overlays(picture_of(*marks), {}, lambda _: None, "UTC")
    for _ in range(2):
        overlays.watermarks(marks, Fraction(0), lambda: beats.append(1))
    assert len(beats) == len(marks)


def test_a_text_ends_where_its_corner_says() -> None:
    rect = drawn(TextWatermark(0, 0, 1.0, "hello", Anchor.BOTTOM_RIGHT))
    assert 1280 - 8 < rect.right <= 1280
    assert 720 - 40 < rect.bottom <= 720


@pytest.mark.parametrize(("width", "height"), [(80, 40), (20, 10), (1, 1), (100, 50)])
def test_an_image_keeps_its_shape_in_another_width(width: int, height: int) -> None:
    mark = ImageWatermark(0, 0, 1.0, "logo.png", Anchor.BOTTOM_RIGHT, width)
    rect = drawn(mark)
    assert (rect.right, rect.bottom) == (1280, 720)
    assert (rect.width, rect.height) == (width + width % 2, height + height % 2)


def test_what_is_transparent_gives_off_no_colour() -> None:
    image = np.zeros((8, 8, 4), np.uint8)
    image[:, :4] = (0, 255, 0, 255)
    image[:, 4:] = (255, 0, 0, 0)
    half = scaled(image, Size(4, 4))
    seen = half[..., 3] > 0
    assert (half[seen][:, 0] <= 1).all()
    assert (half[:, 0] == (0, 255, 0, 255)).all()
    assert scaled(image, Size(8, 8)) is image


def test_an_image_that_would_grow_too_large_is_refused() -> None:
    mark = ImageWatermark(0, 0, 1.0, "tower.png", width=8192)
    with pytest.raises(SpecError, match="watermarks"):
        picture_of(mark, images={"tower.png": Size(1, 1000)})
