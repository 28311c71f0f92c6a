"""Scenes: for each segment of the timeline, the tiles on the canvas in drawing order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.jobfile.spec import LayoutStyle, MixerSpec, Watermark
from owtmix.plan import layouts
from owtmix.plan.course import StateSpan, cut_by
from owtmix.plan.timeline import Segment


@dataclass(frozen=True, slots=True)
class Tile:
    """The rectangle of a stream on the canvas, in pixels.

    ``label`` is written on it; ``is_muted`` puts a mark before that.
    """

    stream: StreamId
    rect: Rect
    label: str = ""
    is_muted: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """How pictures are fitted into tiles, and the watermarks above them, in drawing order."""

    resize_mode: ResizeMode = ResizeMode.FIT
    watermarks: tuple[Watermark, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """A range of output time in which nothing is moved: the tiles, back to front, and the look."""

    span: TimeRange
    tiles: tuple[Tile, ...]
    look: Look = Look()


def build_scenes(
    segments: Sequence[Segment], states: Sequence[StateSpan], canvas: Size, names: Mapping[StreamId, str]
) -> tuple[Scene, ...]:
    """Assign tiles to the visible streams of each segment, those of ``names``; merge adjacent scenes that are the same.

    The rules are in docs/semantics.md, "Picture", and docs/layouts.md, "Dealing tiles".
    """
    scenes: list[Scene] = []
    for segment, state in _parts(segments, states):
        mixer = state.state.mixer
        look = Look(mixer.resize_mode, mixer.watermarks)
        shown = [stream for stream in segment.present if stream in names and state.shows(stream)]
        manual = state.state.subscription.manual
        tiles = _manual_tiles(shown, mixer) if manual else _automatic_tiles(shown, mixer, canvas)
        if mixer.labels:
            tiles = tuple(
                replace(tile, label=names[tile.stream], is_muted=tile.stream in state.state.muted) for tile in tiles
            )
        if scenes and (scenes[-1].tiles, scenes[-1].look) == (tiles, look):
            scenes[-1] = replace(scenes[-1], span=TimeRange(scenes[-1].span.start, segment.span.end))
        else:
            scenes.append(Scene(segment.span, tiles, look))
    return tuple(scenes)


def _parts(segments: Sequence[Segment], states: Sequence[StateSpan]) -> Iterator[tuple[Segment, StateSpan]]:
    """The segments, cut where states change."""
    for segment in segments:
        for span, state in cut_by(states, [segment.span]):
            yield Segment(span, segment.present), state


def _manual_tiles(shown: Sequence[StreamId], mixer: MixerSpec) -> tuple[Tile, ...]:
    """Streams that have a position, each in its region, in order of ``z``."""
    positions = sorted((p for p in mixer.positions if p.stream in shown), key=lambda p: p.z)
    return tuple(Tile(p.stream, p.region) for p in positions)


def _automatic_tiles(shown: Sequence[StreamId], mixer: MixerSpec, canvas: Size) -> tuple[Tile, ...]:
    """``MaxResolutionStream`` in the largest tile, the others in the remaining tiles in order of joining."""
    if mixer.layout is LayoutStyle.CUSTOM:
        areas = layouts.template(mixer.templates, len(shown))
    else:
        areas = layouts.areas(mixer.layout, len(shown))
    if not areas:
        return ()
    stream_of_tile: dict[int, StreamId] = {}
    rest = list(shown)
    if mixer.max_resolution_stream:
        main = mixer.max_resolution_stream if mixer.max_resolution_stream in rest else rest[0]
        rest.remove(main)
        stream_of_tile[layouts.largest(areas)] = main
    stream_of_tile |= zip([i for i in range(len(areas)) if i not in stream_of_tile], rest, strict=False)
    tiles = (Tile(stream_of_tile[i], areas[i].on(canvas)) for i in sorted(stream_of_tile))
    return tuple(tile for tile in tiles if tile.rect.area)
