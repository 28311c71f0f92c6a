"""The kernel, compiled for the host, equals the reference bit by bit."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owtmix.base.geometry import Orientation, Rect, Size
from owtmix.compositor.gpu import kernel_args
from owtmix.compositor.gpu.kernel_args import Drawing, Kind, Surface, pack_batch
from owtmix.compositor.gpu.kernel_tables import FORMATS
from owtmix.compositor.scale import Conversion
from owtmix.plan.device import MAX_GPU_ITEMS
from tests.support.card import oracle
from tests.support.card.cases import (
    BACKGROUND,
    MATRICES,
    ItemPair,
    differing,
    overlay,
    picture,
    random_items,
    with_corners,
)
from tests.support.card.kernel import address, compose

PLACED: Final = settings(deadline=None, max_examples=120)


def check(canvas: Size, made: list[ItemPair], *, interleaved: bool = True) -> None:
    assert not differing(canvas, made, interleaved=interleaved)


def even(lowest: int, highest: int) -> st.SearchStrategy[int]:
    return st.integers(lowest // 2, highest // 2).map(lambda half: 2 * half)


@st.composite
def rects(draw: st.DrawFn, inside: Rect) -> Rect:
    """Rectangles with even edges."""
    x, y = draw(even(inside.x, inside.right - 2)), draw(even(inside.y, inside.bottom - 2))
    return Rect(x, y, draw(even(2, inside.right - x)), draw(even(2, inside.bottom - y)))


@st.composite
def parts(draw: st.DrawFn, whole: int) -> tuple[int, int]:
    """Start and length of a crop of an axis, as ``fit`` makes it: all of it, or even edges."""
    if whole < 4 or draw(st.booleans()):
        return 0, whole
    start = draw(even(0, whole - 2))
    return start, draw(even(2, whole - start))


def corners(rect: Rect) -> st.SearchStrategy[int]:
    """Radii of round corners; half of the time they are not round."""
    return st.just(0) | st.integers(1, min(rect.width, rect.height) // 2)


@st.composite
def pictures(draw: st.DrawFn, canvas: Rect) -> ItemPair:
    rect = draw(rects(canvas))
    target = draw(st.just(rect) | rects(rect))
    source = Size(draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    orientation = draw(st.sampled_from(Orientation))
    shown = Size(source.height, source.width) if orientation.swaps_sides else source
    (x, width), (y, height) = draw(parts(shown.width)), draw(parts(shown.height))
    matrices = st.sampled_from(MATRICES)
    conversion = Conversion(
        source=source,
        pixel_format=draw(st.sampled_from(sorted(FORMATS))),
        orientation=orientation,
        crop=Rect(x, y, width, height),
        target=target.size,
        matrix=(draw(matrices), draw(matrices)),
        full_range=draw(st.booleans()),
        interlaced=draw(st.booleans()),
    )
    return with_corners(picture(conversion, rect, target, draw(st.integers(0, 99))), draw(corners(rect)))


@st.composite
def overlays(draw: st.DrawFn, canvas: Rect) -> ItemPair:
    rect = draw(rects(canvas))
    made = overlay(rect, opaque=draw(st.booleans()), seed=draw(st.integers(0, 99)))
    return with_corners(made, draw(corners(rect)))


CANVAS: Final = Size(72, 44)
WHOLE: Final = Rect(0, 0, CANVAS.width, CANVAS.height)


@given(made=pictures(WHOLE), interleaved=st.booleans())
@PLACED
def test_a_frame_in_any_format_oriented_cropped_scaled_and_colour_converted(
    made: ItemPair, *, interleaved: bool
) -> None:
    check(CANVAS, [made], interleaved=interleaved)


@given(made=st.lists(pictures(WHOLE) | overlays(WHOLE), max_size=6))
@settings(deadline=None, max_examples=60)
def test_layers_are_drawn_or_blended_over_each_other(made: list[ItemPair]) -> None:
    check(CANVAS, made)


@pytest.mark.parametrize("seed", range(20))
def test_random_items_without_a_library_for_them(seed: int) -> None:
    """As ``benchmarks.lab.gpu_proof`` draws them on a GPU."""
    check(CANVAS, random_items(np.random.default_rng(seed), CANVAS), interleaved=seed % 2 == 0)


def test_the_maximum_of_items_fits_a_kernel_argument() -> None:
    side = 4
    made = [
        overlay(Rect(i % 18 * side, i // 18 * side, side, side), opaque=i % 2 == 0, seed=i)
        for i in range(MAX_GPU_ITEMS)
    ]
    batch = pack_batch(CANVAS, BACKGROUND, [Drawing([one.item for one in made], made[0].item.surface)])
    assert batch.nbytes <= 4096
    check(CANVAS, made)
    with pytest.raises(ValueError, match="73 items"):
        pack_batch(CANVAS, BACKGROUND, [Drawing([made[0].item] * 73, made[0].item.surface)])


def test_a_pitch_above_the_limit_is_refused() -> None:
    item = kernel_args.Item(Kind.VIDEO, WHOLE, Surface(0, 0, 0, 65_536, 8))
    with pytest.raises(ValueError, match="65536 bytes"):
        pack_batch(CANVAS, BACKGROUND, [Drawing([item], item.surface)])


def test_frames_of_a_batch_are_drawn_in_one_launch() -> None:
    frames = [[overlay(Rect(2 * i, 4, 20, 10), opaque=True, seed=i)] for i in range(3)]
    targets = [np.zeros((3, CANVAS.height, CANVAS.width), np.uint8) for _ in frames]
    surfaces = [
        Surface(address(planes), address(planes[1]), address(planes[2]), CANVAS.width, CANVAS.width)
        for planes in targets
    ]
    drawings = [Drawing([one.item for one in made], to) for made, to in zip(frames, surfaces, strict=True)]
    compose(pack_batch(CANVAS, BACKGROUND, drawings))
    for made, planes in zip(frames, targets, strict=True):
        y, u, v = oracle.draw(CANVAS, BACKGROUND, [one.expected for one in made])
        assert np.array_equal(planes[0], y)
        assert np.array_equal(planes[1, : CANVAS.height // 2, : CANVAS.width // 2], u)
        assert np.array_equal(planes[2, : CANVAS.height // 2, : CANVAS.width // 2], v)
