"""What is drawn where: each segment of the timeline becomes a scene, a back-to-front list of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from owtmix.base.geometry import Rect, Size
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.jobfile.spec import LayoutStyle, MixerSpec
from owtmix.plan import layouts
from owtmix.plan.timeline import Segment


@dataclass(frozen=True, slots=True)
class Tile:
    """A stream's place on the canvas."""

    stream: StreamId
    rect: Rect


@dataclass(frozen=True, slots=True)
class Scene:
    """The tiles of a stretch of output time, back to front."""

    span: TimeRange
    tiles: tuple[Tile, ...]


def build_scenes(
    segments: Sequence[Segment], mixer: MixerSpec, canvas: Size, *, manual: bool, visible: AbstractSet[StreamId]
) -> tuple[Scene, ...]:
    """Deal tiles to the ``visible`` streams of each segment; neighbours that look the same become one scene."""
    scenes: list[Scene] = []
    for segment in segments:
        shown = [stream for stream in segment.present if stream in visible]
        tiles = _placed(shown, mixer) if manual else _dealt(shown, mixer, canvas)
        if scenes and scenes[-1].tiles == tiles:
            scenes[-1] = Scene(TimeRange(scenes[-1].span.start, segment.span.end), tiles)
        else:
            scenes.append(Scene(segment.span, tiles))
    return tuple(scenes)


def _placed(shown: Sequence[StreamId], mixer: MixerSpec) -> tuple[Tile, ...]:
    """Manual mode: only the streams that have a position, each in its region, lower Z first."""
    positions = sorted((p for p in mixer.positions if p.stream in shown), key=lambda p: p.z)
    return tuple(Tile(p.stream, p.region) for p in positions)


def _dealt(shown: Sequence[StreamId], mixer: MixerSpec, canvas: Size) -> tuple[Tile, ...]:
    """Automatic mode: the designated stream in the largest tile, the others in the rest, in order of joining."""
    if mixer.layout is LayoutStyle.CUSTOM:
        areas = layouts.template(mixer.templates, len(shown))
    else:
        areas = layouts.areas(mixer.layout, len(shown))
    if not areas:
        return ()
    seats: dict[int, StreamId] = {}
    rest = list(shown)
    if mixer.max_resolution_stream:
        main = mixer.max_resolution_stream if mixer.max_resolution_stream in rest else rest[0]
        rest.remove(main)
        seats[layouts.largest(areas)] = main
    seats |= zip([i for i in range(len(areas)) if i not in seats], rest, strict=False)
    tiles = (Tile(seats[i], areas[i].on(canvas)) for i in sorted(seats))
    return tuple(tile for tile in tiles if tile.rect.area)
