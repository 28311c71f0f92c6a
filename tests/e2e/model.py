"""An independent model of the output, derived from docs/semantics.md.

It imports nothing from owtmix, so that no mistake is shared. Times are in seconds, of the output (``t``) or of the room
(``room_t``), from the start of the first subscribed stream; they differ after a cut gap.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, floor, inf
from typing import Any, Final

from tests.e2e.templates import Tile, tiles
from tests.support.people import WHITE, Colour, Take
from tests.support.room import Json, Room

ABSENCE_S: Final = 1
GAP_S: Final = 3
PLACEHOLDER_DELAY_S: Final = Fraction(1, 2)
IDLE_TIME_S: Final = 60
MAX_SUBSCRIPTIONS: Final = 32

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in canvas pixels."""

Range = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Shown:
    """A stream in its tile. ``colour`` is None when the tile must show the placeholder."""

    stream: str
    tile: Box
    size: tuple[int, int]
    colour: Colour | None


class Model:
    """Predictions for one room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        by_start = sorted(room.takes, key=lambda take: take.start_ms)
        self._sections = _course(room)
        states = [state for _, state in self._sections]
        joined = dict.fromkeys(
            t.stream for t in by_start if any(_hears(s, t.stream) or _sees(s, t.stream) for s in states)
        )
        most = room.subscribe.get("MaxSubscriptions", MAX_SUBSCRIPTIONS)
        self.streams = tuple(joined)[:most]
        self._takes = {stream: [take for take in by_start if take.stream == stream] for stream in self.streams}
        self._frame_times = {take: take.frame_times_s for take in room.takes}
        self._origin_ms = min(takes[0].start_ms for takes in self._takes.values())

    @cached_property
    def duration_s(self) -> Fraction:
        """Length of the output, before it is rounded up to a whole frame."""
        return self._output(self._end)

    @cached_property
    def frames(self) -> int:
        """Number of frames of the output."""
        return ceil(self.duration_s * self._room.fps)

    @cached_property
    def scenes(self) -> tuple[tuple[Shown, ...], ...]:
        """The tiles of each output frame, back to front."""
        return tuple(self._scene(self._room_time(self._middle(i))) for i in range(self.frames))

    @cached_property
    def modes(self) -> tuple[int, ...]:
        """The ``ResizeMode`` of each output frame."""
        states = (self._state(self._room_time(self._middle(i))) for i in range(self.frames))
        return tuple(state["mixer"].get("ResizeMode", 2) for state in states)

    def _middle(self, frame: int) -> Fraction:
        """The time that a frame shows; the last one shows the end of the room where its middle is later."""
        return min(Fraction(2 * frame + 1, 2 * self._room.fps), self.duration_s - Fraction(1, 10**6))

    def flashes(self, stream: str) -> list[int]:
        """The frames in which a flash of ``stream`` appears."""
        white = [any(s.stream == stream and s.colour == WHITE for s in scene) for scene in self.scenes]
        return [i for i, now in enumerate(white) if now and not (i and white[i - 1])]

    def beeps(self, stream: str) -> list[Fraction]:
        """When the beeps of ``stream`` begin."""
        heard = []
        for take in self._takes.get(stream, []):
            for mark_ms in take.marks_ms if take.sound else ():
                room_t = self._start(take) + Fraction(mark_ms, 1000)
                hole = any(start <= mark_ms < end for start, end in take.holes_ms)
                state = self._state(room_t)
                silent = hole or stream in state["muted"] or not _hears(state, stream)
                if not silent and room_t < min(self._stop(take), self._end):
                    heard.append(self._output(room_t))
        return sorted(heard)

    def _state(self, room_t: Fraction) -> Json:
        """What the job says at a time of the room."""
        return [state for ms, state in self._sections if self._since_origin(ms) <= room_t or ms == -inf][-1]

    def _since_origin(self, ms: float) -> Fraction:
        return Fraction(-(10**9)) if ms == -inf else Fraction(int(ms) - self._origin_ms, 1000)

    def _start(self, take: Take) -> Fraction:
        return Fraction(take.start_ms - self._origin_ms, 1000)

    def _stop(self, take: Take) -> Fraction:
        end_ms = take.start_ms + take.length_ms
        return Fraction(min(end_ms, take.end_ms or end_ms) - self._origin_ms, 1000)

    def _presence(self, stream: str) -> list[Range]:
        """When a stream is in the room, and in the mix."""
        starts = [self._since_origin(ms) for ms, _ in self._sections]
        return [
            (max(start, begins), min(end, ends))
            for start, end in self._visits(stream)
            for (_, state), begins, ends in zip(self._sections, starts, [*starts[1:], Fraction(10**9)], strict=True)
            if (_hears(state, stream) or _sees(state, stream)) and max(start, begins) < min(end, ends)
        ]

    def _visits(self, stream: str) -> list[Range]:
        return _union([(self._start(t), self._stop(t)) for t in self._takes.get(stream, [])], Fraction(ABSENCE_S))

    @cached_property
    def _idle_s(self) -> Fraction:
        return Fraction(self._room.job.get("IdleTime", IDLE_TIME_S))

    @cached_property
    def _end(self) -> Fraction:
        """Room time at which the output ends."""
        last = max(self._presence(stream)[-1][1] for stream in self.streams)
        key = _union(self._presence(self._room.job.get("KeyStream", "")), Fraction(0), inclusive=True)
        return min(last, _union(key, self._idle_s, inclusive=True)[0][1] + self._idle_s) if key else last

    @cached_property
    def _cuts(self) -> list[Range]:
        """Ranges of room time that are cut because no stream was present for longer than ``IdleTime``."""
        there = _union([span for stream in self.streams for span in self._presence(stream)], Fraction(0))
        gaps = zip([end for _, end in there], [start for start, _ in there[1:]], strict=False)
        return [(left + self._idle_s, back) for left, back in gaps if back - left > self._idle_s]

    def _output(self, room_t: Fraction) -> Fraction:
        return room_t - sum((end - start for start, end in self._cuts if end <= room_t), Fraction(0))

    def _room_time(self, t: Fraction) -> Fraction:
        for start, end in self._cuts:
            if t >= start:
                t += end - start
        return t

    def _scene(self, room_t: Fraction) -> tuple[Shown, ...]:
        present = [stream for stream in self.streams if self._is_visible(stream, room_t)]
        return tuple(
            Shown(stream, box, *self._look(stream, room_t))
            for stream, box in self._placed(present, self._state(room_t))
        )

    def _is_visible(self, stream: str, room_t: Fraction) -> bool:
        has_picture = any(take.picture for take in self._takes[stream])
        there = any(start <= room_t < end for start, end in self._presence(stream))
        return has_picture and there and _sees(self._state(room_t), stream)

    def _placed(self, present: list[str], state: Json) -> list[tuple[str, Box]]:
        """The tiles of the streams that are shown, back to front."""
        mixer, (width, height) = state["mixer"], self._room.size
        if state["subscribe"].get("VideoStreamType", 0) == 1:
            positions: list[dict[str, Any]] = mixer["PositionConfig"]
            there = [p for p in positions if p["RtcStreamId"] in present]
            regions = [
                (p["RtcStreamId"], p["Region"]) for p in sorted(there, key=lambda p: int(p["Region"].get("Z", 0)))
            ]
            return [(s, (r["X"], r["Y"], r["X"] + r["Width"], r["Y"] + r["Height"])) for s, r in regions]
        if not present:
            return []
        template = _template(mixer, len(present))
        areas = [tile[2] * tile[3] for tile in template]
        largest = areas.index(max(areas))
        chosen = mixer.get("MaxResolutionStream")
        dealt = list(present)
        if chosen in present:
            dealt.remove(chosen)
            dealt.insert(largest, chosen)
        return [
            (s, (_even(x * width), _even(y * height), _even((x + w) * width), _even((y + h) * height)))
            for s, (x, y, w, h) in zip(dealt, template, strict=False)
        ]

    def _look(self, stream: str, room_t: Fraction) -> tuple[tuple[int, int], Colour | None]:
        """The size of the picture of ``stream``, and its colour."""
        size, colour = self._recorded(stream, room_t)
        return size, None if stream in self._state(room_t)["hidden"] else colour

    def _recorded(self, stream: str, room_t: Fraction) -> tuple[tuple[int, int], Colour | None]:
        arrival, leave = next(span for span in self._visits(stream) if span[0] <= room_t < span[1])
        takes = [take for take in self._takes[stream] if take.picture and arrival <= self._start(take) < leave]
        running = [take for take in takes if self._first(take) <= room_t < self._stop(take)]
        if running:
            take = running[-1]
            number = bisect_right(self._frame_times[take], room_t - self._start(take)) - 1
            if not self._is_frozen(take, number, room_t):
                return self._picture(take, number)
        shown = [take for take in takes if self._first(take) <= room_t]
        coming = [take for take in takes if self._first(take) > room_t]
        seen_to = self._seen_to(shown[-1]) if shown else arrival
        again = self._first(coming[0]) if coming else leave
        if seen_to <= room_t and again - seen_to >= ABSENCE_S:
            return (shown or takes or self._takes[stream])[-1].size, None
        if not shown:
            return self._picture(coming[0], 0) if coming else (self._takes[stream][-1].size, None)
        number = bisect_right(self._frame_times[shown[-1]], room_t - self._start(shown[-1])) - 1
        if seen_to > room_t and self._is_frozen(shown[-1], number, room_t):
            return shown[-1].size, None
        return self._picture(shown[-1], number)

    def _first(self, take: Take) -> Fraction:
        """When its first picture is shown."""
        return self._start(take) + self._frame_times[take][0]

    def _seen_to(self, take: Take) -> Fraction:
        """When the picture of ``take`` ends: with the file, or at the last frame of a camera whose sound goes on."""
        last = self._start(take) + self._frame_times[take][-1]
        stop = self._stop(take)
        goes_on = take.stream.endswith("_1") and take.sound and stop > last + PLACEHOLDER_DELAY_S
        return last if goes_on else stop

    def _picture(self, take: Take, number: int) -> tuple[tuple[int, int], Colour]:
        return take.size, WHITE if take.is_white(self._frame_times[take][number]) else take.colour

    def _is_frozen(self, take: Take, number: int, room_t: Fraction) -> bool:
        """Whether a camera has had no new picture for so long that its placeholder is shown."""
        times, file_t = self._frame_times[take], room_t - self._start(take)
        following = times[number + 1 : number + 2]
        if not following:
            again = [self._first(t) for t in self._takes[take.stream] if t.picture and self._first(t) > room_t]
            leave = next(span[1] for span in self._visits(take.stream) if span[0] <= room_t < span[1])
            pauses = min([*again, leave]) - self._seen_to(take) >= ABSENCE_S
        else:
            pauses = following[0] - times[number] > GAP_S
        return take.stream.endswith("_1") and pauses and file_t - times[number] >= PLACEHOLDER_DELAY_S


def _course(room: Room) -> list[tuple[float, Json]]:
    """What the job says from each millisecond on: its mixer, its subscriptions, and who is muted or hidden."""
    state: Json = {"mixer": room.mixer, "subscribe": room.subscribe, "muted": frozenset(), "hidden": frozenset()}
    course: list[tuple[float, Json]] = [(-inf, state)]
    for ms, update in sorted(room.updates, key=lambda entry: entry[0]):
        data = update["Data"]
        state = dict(state)
        state["mixer"] = state["mixer"] | data.get("MixerConfig", {})
        state["subscribe"] = state["subscribe"] | data.get("SubscribeConfig", {})
        for stream in data.get("StreamConfig", []):
            for name, off in (("muted", "Audio"), ("hidden", "Video")):
                is_off = stream.get(f"Mute{off}", False) or not stream.get(f"Has{off}", True)
                others = state[name] - {stream["RtcStreamId"]}
                state[name] = others | {stream["RtcStreamId"]} if is_off else others
        course.append((ms, state))
    return course


def _sees(state: Json, stream: str) -> bool:
    return _subscribed(state, stream, "Video")


def _hears(state: Json, stream: str) -> bool:
    return _subscribed(state, stream, "Audio")


def _subscribed(state: Json, stream: str, kind: str) -> bool:
    only: list[str] = state["subscribe"].get(f"Subscribe{kind}", [])
    without: list[str] = state["subscribe"].get(f"Unsubscribe{kind}", [])
    return stream not in without and (not only or stream in only)


def _template(mixer: Json, count: int) -> tuple[Tile, ...]:
    style = mixer.get("MixedVideoLayout", 1)
    if style:
        return tiles(style, count)
    sides = ("Left", "Top", "Width", "Height")
    templates = [[[Fraction(tile["Area"][side]) for side in sides] for tile in t] for t in mixer["LayoutConfig"]]
    enough = [template for template in templates if len(template) >= count]
    best = min(enough, key=len) if enough else max(templates, key=len)
    return tuple((x, y, w, h) for x, y, w, h in best)


def placed(size: tuple[int, int], tile: Box, mode: int) -> tuple[Box, tuple[float, float]]:
    """Box of a picture in its tile, and visible share of its width and height (``ResizeMode``)."""
    left, top, right, bottom = tile
    width, height = right - left, bottom - top
    shape, room = Fraction(*size), Fraction(width, height)
    if mode == 0:
        return tile, (1, 1)
    if mode == 1:
        return tile, (min(1.0, float(room / shape)), min(1.0, float(shape / room)))
    if shape >= room:
        height = min(height, _even(width / shape))
    else:
        width = min(width, _even(height * shape))
    x, y = left + (right - left - width) // 4 * 2, top + (bottom - top - height) // 4 * 2
    return (x, y, x + width, y + height), (1, 1)


def _even(value: Fraction) -> int:
    return 2 * floor(value / 2 + Fraction(1, 2))


def _union(spans: list[Range], bridge_s: Fraction, *, inclusive: bool = False) -> list[Range]:
    """``spans``, sorted; those with a gap of at most ``bridge_s`` are merged."""
    joined: list[Range] = []
    for start, end in sorted(spans):
        gap = start - joined[-1][1] if joined else None
        if gap is not None and (gap <= 0 or gap < bridge_s or (inclusive and gap == bridge_s)):
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
