"""The kernel, compiled for the host, equals the reference bit by bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from owtmix.base.geometry import Orientation, Rect, Size
from owtmix.compositor.gpu import kernel_args
from owtmix.compositor.gpu.kernel_args import Drawing, Kind, Surface, pack_batch
from owtmix.compositor.gpu.kernel_tables import FORMATS, kernel_table
from owtmix.compositor.scale import Conversion
from owtmix.plan.device import MAX_GPU_ITEMS
from owtmix.plan.media_info import Matrix
from tests.compositor.gpu import oracle
from tests.compositor.gpu.kernel import address, compose, pairs

PLACED: Final = settings(deadline=None, max_examples=120)
BACKGROUND: Final = (50, 110, 150)
MATRICES: Final[tuple[Matrix, ...]] = ("bt601", "bt709")
GUARD: Final = 7
"""Columns beside each plane that must not be touched."""


@dataclass(frozen=True)
class ItemPair:
    """An item for the reference and for the kernel; ``held`` keeps its memory."""

    expected: oracle.VideoItem | oracle.OverlayItem
    item: kernel_args.Item
    held: tuple[NDArray[Any], ...]


def picture(conversion: Conversion, rect: Rect, target: Rect, seed: int) -> ItemPair:
    """Noise of the extreme values of the format, which would overflow first."""
    samples = FORMATS[conversion.pixel_format]
    noise = np.random.default_rng(seed)
    rows, columns = conversion.source.height, conversion.source.width
    chroma = -(-rows // samples.down), -(-columns // samples.across)
    y, u, v = (
        noise.choice([0, (1 << samples.bits) - 1, 1 << (samples.bits - 1)], shape)
        for shape in ((rows, columns), chroma, chroma)
    )
    dtype = np.uint16 if samples.wide else np.uint8
    luma = _padded((y << samples.low).astype(dtype))
    if samples.step == 2:
        interleaved = np.stack((u, v), axis=-1).reshape(chroma[0], -1)
        both = _padded((interleaved << samples.low).astype(dtype))
        held: tuple[NDArray[Any], ...] = luma, both
        at = address(both), address(both) + both.itemsize
    else:
        planes = tuple(_padded((plane << samples.low).astype(dtype)) for plane in (u, v))
        held = luma, *planes
        at = address(planes[0]), address(planes[1])
    table = kernel_table(conversion, target)
    by = 2 if conversion.interlaced else 1
    surface = Surface(address(luma), *at, luma.strides[0] * by, held[1].strides[0] * by)
    return ItemPair(
        oracle.VideoItem(rect, target, (y, u, v), samples.bits, conversion, samples.across, samples.down),
        kernel_args.Item(Kind.VIDEO, rect, surface, address(table)),
        (*held, table),
    )


def _padded(plane: NDArray[Any]) -> NDArray[Any]:
    return np.pad(plane, ((0, 0), (0, GUARD)), constant_values=255)


def overlay(rect: Rect, *, opaque: bool, seed: int) -> ItemPair:
    noise = np.random.default_rng(seed)
    found = []
    for by in (1, 2, 2):
        shape = rect.height // by, rect.width // by
        parts = np.full(shape, 256) if opaque else noise.integers(0, 257, shape)
        found.append((256 - parts, parts * noise.integers(0, 256, shape) + 128))
    held = tuple(pairs(*pair) for pair in found)
    y, u, v = map(address, held)
    surface = Surface(y, u, v, held[0].strides[0], held[1].strides[0])
    return ItemPair(
        oracle.OverlayItem(rect, found), kernel_args.Item(Kind.OPAQUE if opaque else Kind.OVERLAY, rect, surface), held
    )


def drawn(canvas: Size, made: list[ItemPair], *, interleaved: bool) -> oracle.Planes:
    """What the kernel draws, to NV12 or to three planes; checks that memory around it is unchanged."""
    width, height = canvas.width, canvas.height
    chroma_width = width if interleaved else width // 2
    y = np.full((height + 2, width + GUARD), 99, np.uint8)
    chroma = [np.full((height // 2 + 2, chroma_width + GUARD), 99, np.uint8) for _ in range(2 - interleaved)]
    cb = address(chroma[0]) + chroma[0].strides[0]
    cr = cb + 1 if interleaved else address(chroma[1]) + chroma[1].strides[0]
    target = Surface(address(y) + y.strides[0], cb, cr, y.strides[0], chroma[0].strides[0], 1 + interleaved)
    compose(pack_batch(canvas, BACKGROUND, [Drawing([one.item for one in made], target)]))
    for plane, columns in ((y, width), *((plane, chroma_width) for plane in chroma)):
        assert (plane[0] == 99).all()
        assert (plane[-1] == 99).all()
        assert (plane[:, columns:] == 99).all()
    planes = [plane[1:-1, :columns] for plane, columns in ((y, width), *((plane, chroma_width) for plane in chroma))]
    if interleaved:
        planes = [planes[0], planes[1][:, ::2], planes[1][:, 1::2]]
    found = [plane.astype(np.int64) for plane in planes]
    return found[0], found[1], found[2]


def check(canvas: Size, made: list[ItemPair], *, interleaved: bool = True) -> None:
    expected = oracle.draw(canvas, BACKGROUND, [one.expected for one in made])
    for model, plane in zip(expected, drawn(canvas, made, interleaved=interleaved), strict=True):
        assert np.array_equal(model, plane)


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
    return picture(conversion, rect, target, draw(st.integers(0, 99)))


@st.composite
def overlays(draw: st.DrawFn, canvas: Rect) -> ItemPair:
    return overlay(draw(rects(canvas)), opaque=draw(st.booleans()), seed=draw(st.integers(0, 99)))


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
