"""Scenes: for each segment of the timeline, the tiles on the canvas in drawing order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange, item_at, overlapping
from owtmix.jobfile.spec import MixerSpec, Watermark
from owtmix.plan.course import StateSpan, cut_by
from owtmix.plan.pages import Pages, page_edges
from owtmix.plan.speakers import NOBODY, Speech, speaking
from owtmix.plan.tiles import Places, Tile, automatic_tiles, border_px, first_streams, manual_tiles, places_of
from owtmix.plan.timeline import Segment, Timeline
from owtmix.plan.transitions import moved_rects


@dataclass(frozen=True, slots=True)
class Look:
    """How pictures are fitted into tiles, whose corners are round, and the watermarks above them, in drawing order."""

    resize_mode: ResizeMode = ResizeMode.FIT
    watermarks: tuple[Watermark, ...] = ()
    corner_px: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """A range of output time in which the tiles, back to front, and the look stay the same.

    Until output time ``settled_s`` the tiles move there: ``origins`` has the rectangle from which each comes, or None
    for one that stands still; nothing when all do. They leave at ``began_s``.
    """

    span: TimeRange
    tiles: tuple[Tile, ...]
    look: Look = Look()
    origins: tuple[Rect | None, ...] = ()
    began_s: Fraction = Fraction(0)
    settled_s: Fraction = Fraction(0)

    def tiles_at(self, t: Fraction) -> tuple[Tile, ...]:
        """The tiles at output time ``t``."""
        if not self.moves_at(t):
            return self.tiles
        part = (t - self.began_s) / (self.settled_s - self.began_s)
        rects = moved_rects(self.origins, [tile.rect for tile in self.tiles], part)
        return tuple(replace(tile, rect=rect) for tile, rect in zip(self.tiles, rects, strict=True))

    def moves_at(self, t: Fraction) -> bool:
        """Whether tiles are on their way at output time ``t``."""
        return bool(self.origins) and t < self.settled_s

    def within(self, span: TimeRange) -> Scene:
        """What is seen of the scene in ``span``, which it overlaps."""
        cut = replace(self, span=self.span.common(span))
        return (
            cut if self.moves_at(span.start) else replace(cut, origins=(), began_s=Fraction(0), settled_s=Fraction(0))
        )


def build_scenes(
    timeline: Timeline,
    states: Sequence[StateSpan],
    canvas: Size,
    names: Mapping[StreamId, str],
    speech: Speech = NOBODY,
) -> tuple[Scene, ...]:
    """Assign tiles to the visible streams of each segment, those of ``names``; merge adjacent scenes that are the same.

    The rules are in docs/semantics.md, "Picture", docs/layouts.md, "Dealing tiles", and docs/rooms.md.
    """
    scenes: list[Scene] = []
    dealer = _Dealer(timeline, canvas, names, speech)
    for span, present, state in _parts(timeline.segments, states):
        mixer = state.state.mixer
        look = Look(mixer.resize_mode, mixer.watermarks, mixer.corner_px)
        for part, tiles in dealer.deal(span, present, state):
            before = scenes[-1] if scenes else None
            if before and (before.tiles, before.look) == (tiles, look):
                scenes[-1] = replace(before, span=TimeRange(before.span.start, part.end))
            else:
                scenes.append(_begun(Scene(part, tiles, look), before, mixer.transition_s))
    return tuple(scenes)


def _parts(
    segments: Sequence[Segment], states: Sequence[StateSpan]
) -> Iterator[tuple[TimeRange, tuple[StreamId, ...], StateSpan]]:
    """The segments, cut where states change."""
    for segment in segments:
        for span, state in cut_by(states, [segment.span]):
            yield span, segment.present, state


def _begun(scene: Scene, before: Scene | None, transition_s: Fraction) -> Scene:
    """A scene whose tiles come from where those of the scene before are when it begins."""
    if before is None or not transition_s:
        return scene
    start = scene.span.start
    if before.moves_at(start) and _places(before) == _places(scene):
        return replace(scene, origins=before.origins, began_s=before.began_s, settled_s=before.settled_s)
    origins = _origins(scene.tiles, before.tiles_at(start))
    if not any(origins):
        return scene
    return replace(scene, origins=origins, began_s=start, settled_s=start + transition_s)


def _places(scene: Scene) -> list[tuple[StreamId, Rect]]:
    return [(tile.stream, tile.rect) for tile in scene.tiles]


def _origins(tiles: Sequence[Tile], before: Sequence[Tile]) -> tuple[Rect | None, ...]:
    """Where each tile was, if that is elsewhere: a stream's first tile comes from its first one, and so on."""
    places: dict[StreamId, list[Rect]] = {}
    for tile in before:
        places.setdefault(tile.stream, []).append(tile.rect)
    found = (places[tile.stream].pop(0) if places.get(tile.stream) else None for tile in tiles)
    return tuple(rect if rect != tile.rect else None for rect, tile in zip(found, tiles, strict=True))


class _Dealer:
    """Deals tiles, for ranges in order of time."""

    def __init__(self, timeline: Timeline, canvas: Size, names: Mapping[StreamId, str], speech: Speech) -> None:
        self._presence = timeline.presence
        self._seen = {stream for stream, placed in timeline.pictures.items() if placed}
        self._canvas = canvas
        self._names = names
        self._speech = speech
        self._speaking = [*speaking(speech.turns, timeline.end)] if speech.turns else []
        self._pages: dict[Fraction, Pages] = {}
        self._led: dict[StreamId, list[Fraction]] = {}
        for lead in speech.leads:
            self._led.setdefault(lead.stream, []).append(lead.span.start)
        self._known: dict[Tile, Tile] = {}

    def deal(
        self, span: TimeRange, present: Sequence[StreamId], state: StateSpan
    ) -> Iterator[tuple[TimeRange, tuple[Tile, ...]]]:
        """The tiles in ``span``, in which the same streams are present and nothing is updated."""
        mixer = state.state.mixer
        shown = [
            stream
            for stream in present
            if stream in self._names and state.shows(stream, has_picture=stream in self._seen)
        ]
        is_paged = 0 < mixer.page_size < len(shown) and not state.state.subscription.manual
        edges = {span.start, span.end}
        if mixer.follow_speaker:
            edges.update(lead.span.start for lead in overlapping(self._speech.leads, span))
        if mixer.speaker_border:
            edges.update(part.span.start for part in overlapping(self._speaking, span))
        if is_paged:
            edges.update(page_edges(span, mixer.page_s))
        arrangements: dict[tuple[object, ...], tuple[Tile, ...]] = {}
        places: dict[int, Places] = {}
        for start, end in pairwise(sorted(edge for edge in edges if span.start <= edge)):
            first = first_streams(shown, self._screen(start, shown), self._leader(start, shown, mixer), mixer)
            seen = self._page(start, shown, first, mixer) if is_paged else shown
            now = item_at(self._speaking, start) if mixer.speaker_border else None
            speaking = now.streams.intersection(seen) if now else frozenset[StreamId]()
            key = (tuple(seen), tuple(first), speaking)
            if key not in arrangements:
                if len(seen) not in places:
                    places[len(seen)] = places_of(len(seen), mixer, self._canvas)
                arrangements[key] = self._tiles(seen, first, speaking, state, places[len(seen)])
            yield TimeRange(start, end), arrangements[key]

    def _page(
        self, t: Fraction, shown: Sequence[StreamId], first: Sequence[StreamId], mixer: MixerSpec
    ) -> list[StreamId]:
        if mixer.page_s not in self._pages:
            self._pages[mixer.page_s] = Pages(self._speaking, mixer.page_s)
        return self._pages[mixer.page_s].at(t, shown, first, mixer.page_size)

    def _tiles(
        self,
        shown: Sequence[StreamId],
        first: Sequence[StreamId],
        speaking: frozenset[StreamId],
        state: StateSpan,
        places: Places,
    ) -> tuple[Tile, ...]:
        mixer, muted = state.state.mixer, state.state.muted
        manual = state.state.subscription.manual
        tiles = manual_tiles(shown, mixer) if manual else automatic_tiles(shown, first, places)
        border = border_px(self._canvas)
        drawn = (
            replace(
                tile,
                label=self._names[tile.stream] if mixer.labels else "",
                is_muted=mixer.labels and tile.stream in muted,
                border_px=border if tile.stream in speaking else 0,
            )
            for tile in tiles
        )
        # A tile that is shown again is the same object: a plan with thousands of scenes travels to every worker.
        return tuple(self._known.setdefault(tile, tile) for tile in drawn)

    def _screen(self, t: Fraction, shown: Sequence[StreamId]) -> StreamId | None:
        """The shared screen that began last."""
        screens = [stream for stream in shown if stream.is_screen]
        return max(screens, key=lambda stream: self._joined(stream, t), default=None)

    def _joined(self, stream: StreamId, t: Fraction) -> Fraction:
        visits = self._presence[stream]
        return visits[max(0, bisect_right(visits, t, key=lambda visit: visit.start) - 1)].start

    def _leader(self, t: Fraction, shown: Sequence[StreamId], mixer: MixerSpec) -> StreamId | None:
        """Who leads; nobody in a pause for which there is ``MaxResolutionStream``."""
        lead = item_at(self._speech.leads, t) if mixer.follow_speaker else None
        if lead is None or not (lead.speaks or mixer.max_resolution_stream is None):
            return None
        return lead.stream if lead.stream in shown else self._led_last(t, shown)

    def _led_last(self, t: Fraction, shown: Sequence[StreamId]) -> StreamId | None:
        """Of those who are there, who led last before ``t``."""
        found: tuple[StreamId | None, Fraction] = None, Fraction(-1)
        for stream in shown:
            starts = self._led.get(stream, [])
            number = bisect_right(starts, t) - 1
            if number >= 0 and starts[number] > found[1]:
                found = stream, starts[number]
        return found[0]
