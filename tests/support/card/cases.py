"""Items for the drawing kernel and for its reference, on the host and in the memory of any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Orientation, Rect, Size
from owtmix.compositor.gpu import kernel_args
from owtmix.compositor.gpu.kernel_args import Drawing, Kind, Surface, pack_batch
from owtmix.compositor.gpu.kernel_tables import FORMATS, kernel_table
from owtmix.compositor.scale import Conversion
from owtmix.plan.media_info import Matrix
from tests.support.card import oracle
from tests.support.card.kernel import address, compose, pairs

BACKGROUND: Final = (50, 110, 150)
MATRICES: Final[tuple[Matrix, ...]] = ("bt601", "bt709")
LONGEST_SIDE_PX: Final = 40
"""Of the source of a random picture."""
GUARD: Final = 7
"""Columns beside each plane that must not be touched."""


class Bench(Protocol):
    """A place where the kernel runs."""

    def place(self, array: NDArray[Any]) -> int:
        """The address of what a contiguous array holds, where the kernel can read and write it."""

    def draw(self, batch: NDArray[Any]) -> None:
        """Run the kernel, and wait for it."""

    def read(self, array: NDArray[Any]) -> NDArray[Any]:
        """What a placed array holds now."""


class HostBench:
    """The kernel as it is compiled for the host, in the arrays themselves."""

    def place(self, array: NDArray[Any]) -> int:
        return address(array)

    def draw(self, batch: NDArray[Any]) -> None:
        compose(batch)

    def read(self, array: NDArray[Any]) -> NDArray[Any]:
        return array


HOST: Final = HostBench()


@dataclass(frozen=True)
class ItemPair:
    """An item for the reference and for the kernel; ``held`` keeps its memory."""

    expected: oracle.VideoItem | oracle.OverlayItem
    item: kernel_args.Item
    held: tuple[NDArray[Any], ...]


def picture(conversion: Conversion, rect: Rect, target: Rect, seed: int, bench: Bench = HOST) -> ItemPair:
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
        first = bench.place(both)
        at = first, first + both.itemsize
    else:
        planes = tuple(_padded((plane << samples.low).astype(dtype)) for plane in (u, v))
        held = luma, *planes
        at = bench.place(planes[0]), bench.place(planes[1])
    table = kernel_table(conversion, target)
    by = 2 if conversion.interlaced else 1
    surface = Surface(bench.place(luma), *at, luma.strides[0] * by, held[1].strides[0] * by)
    return ItemPair(
        oracle.VideoItem(rect, target, (y, u, v), samples.bits, conversion, samples.across, samples.down),
        kernel_args.Item(Kind.VIDEO, rect, surface, bench.place(table)),
        (*held, table),
    )


def _padded(plane: NDArray[Any]) -> NDArray[Any]:
    return np.pad(plane, ((0, 0), (0, GUARD)), constant_values=255)


def overlay(rect: Rect, *, opaque: bool, seed: int, bench: Bench = HOST) -> ItemPair:
    """Noise that covers ``rect``, or is blended with what is there."""
    noise = np.random.default_rng(seed)
    found = []
    for by in (1, 2, 2):
        shape = rect.height // by, rect.width // by
        parts = np.full(shape, 256) if opaque else noise.integers(0, 257, shape)
        found.append((256 - parts, parts * noise.integers(0, 256, shape) + 128))
    held = tuple(pairs(*pair) for pair in found)
    y, u, v = map(bench.place, held)
    surface = Surface(y, u, v, held[0].strides[0], held[1].strides[0])
    return ItemPair(
        oracle.OverlayItem(rect, found), kernel_args.Item(Kind.OPAQUE if opaque else Kind.OVERLAY, rect, surface), held
    )


def with_corners(made: ItemPair, corner: int) -> ItemPair:
    """The same with round corners."""
    return ItemPair(replace(made.expected, corner=corner), replace(made.item, corner_px=corner), made.held)


def random_items(chance: np.random.Generator, canvas: Size, bench: Bench = HOST) -> list[ItemPair]:
    """One to four pictures and overlays, in any format, oriented, cropped, scaled and colour converted."""
    whole = Rect(0, 0, canvas.width, canvas.height)
    made = []
    for _ in range(chance.integers(1, 5)):
        rect, seed = _inside(chance, whole), int(chance.integers(1 << 30))
        corner = int(chance.integers(0, min(rect.width, rect.height) // 2 + 1)) if chance.integers(2) else 0
        if chance.random() < 1 / 4:
            made.append(with_corners(overlay(rect, opaque=bool(chance.integers(2)), seed=seed, bench=bench), corner))
            continue
        target = rect if chance.integers(2) else _inside(chance, rect)
        made.append(with_corners(picture(_conversion(chance, target.size), rect, target, seed, bench), corner))
    return made


def _conversion(chance: np.random.Generator, target: Size) -> Conversion:
    source = Size(*map(int, chance.integers(1, LONGEST_SIDE_PX + 1, 2)))
    orientation = list(Orientation)[chance.integers(len(Orientation))]
    shown = Size(source.height, source.width) if orientation.swaps_sides else source
    (x, width), (y, height) = _part(chance, shown.width), _part(chance, shown.height)
    return Conversion(
        source=source,
        pixel_format=sorted(FORMATS)[chance.integers(len(FORMATS))],
        orientation=orientation,
        crop=Rect(x, y, width, height),
        target=target,
        matrix=(MATRICES[chance.integers(2)], MATRICES[chance.integers(2)]),
        full_range=bool(chance.integers(2)),
        interlaced=bool(chance.integers(2)),
    )


def _part(chance: np.random.Generator, whole: int) -> tuple[int, int]:
    """Start and length of a crop of an axis: all of it, or even edges."""
    if whole < 4 or chance.integers(2):
        return 0, whole
    start = _even(chance, 0, whole - 2)
    return start, _even(chance, 2, whole - start)


def _inside(chance: np.random.Generator, rect: Rect) -> Rect:
    """A rectangle with even edges."""
    x, y = _even(chance, rect.x, rect.right - 2), _even(chance, rect.y, rect.bottom - 2)
    return Rect(x, y, _even(chance, 2, rect.right - x), _even(chance, 2, rect.bottom - y))


def _even(chance: np.random.Generator, lowest: int, highest: int) -> int:
    return 2 * int(chance.integers(lowest // 2, highest // 2 + 1))


def drawn(canvas: Size, made: Sequence[ItemPair], *, interleaved: bool, bench: Bench = HOST) -> oracle.Planes:
    """What the kernel draws, to NV12 or to three planes; checks that memory around it is unchanged."""
    width, height = canvas.width, canvas.height
    chroma_width = width if interleaved else width // 2
    y = np.full((height + 2, width + GUARD), 99, np.uint8)
    chroma = [np.full((height // 2 + 2, chroma_width + GUARD), 99, np.uint8) for _ in range(2 - interleaved)]
    at = [bench.place(plane) + plane.strides[0] for plane in (y, *chroma)]
    cr = at[1] + 1 if interleaved else at[2]
    target = Surface(at[0], at[1], cr, y.strides[0], chroma[0].strides[0], 1 + interleaved)
    bench.draw(pack_batch(canvas, BACKGROUND, [Drawing([one.item for one in made], target)]))
    planes = []
    for placed, columns in ((y, width), *((plane, chroma_width) for plane in chroma)):
        plane = bench.read(placed)
        assert (plane[0] == 99).all(), "the row above is drawn to"
        assert (plane[-1] == 99).all(), "the row below is drawn to"
        assert (plane[:, columns:] == 99).all(), "the columns beside are drawn to"
        planes.append(plane[1:-1, :columns])
    if interleaved:
        planes = [planes[0], planes[1][:, ::2], planes[1][:, 1::2]]
    found = [plane.astype(np.int64) for plane in planes]
    return found[0], found[1], found[2]


def differing(canvas: Size, made: Sequence[ItemPair], *, interleaved: bool = True, bench: Bench = HOST) -> int:
    """How many samples the kernel draws otherwise than the reference."""
    expected = oracle.draw(canvas, BACKGROUND, [one.expected for one in made])
    found = drawn(canvas, made, interleaved=interleaved, bench=bench)
    return sum(int((model != plane).sum()) for model, plane in zip(expected, found, strict=True))
