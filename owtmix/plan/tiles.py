"""Tiles: who is shown at one time, and where (docs/layouts.md, "Dealing tiles"; docs/rooms.md)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from owtmix.base.geometry import Area, Rect, Size, even
from owtmix.base.ids import StreamId
from owtmix.jobfile.spec import LayoutStyle, MixerSpec
from owtmix.plan import layouts

BORDER_SHARE: Final = 180
"""The border around who speaks is such a part of the canvas's height, and at least ``LEAST_BORDER_PX``."""
LEAST_BORDER_PX: Final = 2
BORDER_STRIPS: Final = 4
"""A border is drawn as so many."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The rectangle of a stream on the canvas, in pixels.

    ``label`` is written on it; ``is_muted`` puts a mark before that. Inside its edges it has a border of ``border_px``.
    """

    stream: StreamId
    rect: Rect
    label: str = ""
    is_muted: bool = False
    border_px: int = 0


def first_streams(
    shown: Sequence[StreamId], screen: StreamId | None, leader: StreamId | None, mixer: MixerSpec
) -> list[StreamId]:
    """Who comes first: the first of them has the largest tile.

    Args:
        shown: the streams that are shown, in order of joining.
        screen: the shared screen among them that counts.
        leader: the one among them that speaks, or is to be shown as if it did.
        mixer: which of that decides.
    """
    if not shown:
        return []
    first = [screen] if mixer.screen_first and screen else []
    main = mixer.max_resolution_stream
    if mixer.follow_speaker and leader:
        first.append(leader)
    elif main and (main in shown or not first):
        first.append(main if main in shown else shown[0])
    return list(dict.fromkeys(first))


def manual_tiles(shown: Collection[StreamId], mixer: MixerSpec) -> tuple[Tile, ...]:
    """Streams that have a position, each in its region, in order of ``z``."""
    positions = sorted((p for p in mixer.positions if p.stream in shown), key=lambda p: p.z)
    return tuple(Tile(p.stream, p.region) for p in positions)


@dataclass(frozen=True, slots=True)
class Places:
    """The rectangles of an automatic layout, in drawing order, and the number of the largest one."""

    rects: tuple[Rect, ...] = ()
    largest: int = 0


def places_of(count: int, mixer: MixerSpec, canvas: Size) -> Places:
    """The places for so many streams; there may be fewer or more than that."""
    if mixer.layout is LayoutStyle.CUSTOM:
        areas = layouts.template(mixer.templates, count)
    else:
        areas = layouts.areas(mixer.layout, count)
    if not areas:
        return Places()
    return Places(tuple(_apart(area, canvas, mixer.gap_px) for area in areas), layouts.largest(areas))


def automatic_tiles(shown: Sequence[StreamId], first: Sequence[StreamId], places: Places) -> tuple[Tile, ...]:
    """The first of ``first`` in the largest tile, its others in the tiles that follow, then the rest of ``shown``."""
    if not places.rects:
        return ()
    stream_of_tile: dict[int, StreamId] = {}
    rest = [*first, *(stream for stream in shown if stream not in first)]
    if first:
        stream_of_tile[places.largest] = rest.pop(0)
    stream_of_tile |= zip([i for i in range(len(places.rects)) if i not in stream_of_tile], rest, strict=False)
    tiles = (Tile(stream_of_tile[i], places.rects[i]) for i in sorted(stream_of_tile))
    return tuple(tile for tile in tiles if tile.rect.area)


def border_px(canvas: Size) -> int:
    """How wide the border around who speaks is, in pixels: an even number."""
    return max(LEAST_BORDER_PX, even(Fraction(canvas.height, BORDER_SHARE)))


def _apart(area: Area, canvas: Size, gap_px: int) -> Rect:
    """The rectangle of an area, with half of the gap taken from each edge that is not the canvas's."""
    rect = area.on(canvas)
    x, width = _shortened(rect.x, rect.width, canvas.width, gap_px)
    y, height = _shortened(rect.y, rect.height, canvas.height, gap_px)
    return Rect(x, y, width, height)


def _shortened(start: int, length: int, whole: int, gap_px: int) -> tuple[int, int]:
    """A side without its gaps; one that is too short for them stays as it is. All numbers are even."""
    behind = gap_px // 4 * 2
    before = gap_px - behind if start else 0
    shorter = length - before - (behind if start + length < whole else 0)
    return (start + before, shorter) if shorter > 0 else (start, length)
