"""Who has the largest tile, by who speaks (docs/rooms.md, "Who speaks").

All of the room is known, so a turn is known before it begins: neither a cough nor an interjection changes the tile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange, overlapping
from owtmix.plan.course import StateSpan, cut_by
from owtmix.plan.jumps import merge_ranges
from owtmix.plan.timeline import Timeline
from owtmix.plan.turns import SpeakerRules, Turn, turns_of
from owtmix.plan.voice import Voice


@dataclass(frozen=True, slots=True)
class Leading:
    """A turn, or a part of one, in which a stream has a tile, and may lead: from ``shown_s`` on."""

    stream: StreamId
    from_s: Fraction
    to_s: Fraction
    shown_s: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Visit:
    """A range of output time in which a stream has a tile."""

    span: TimeRange


@dataclass(frozen=True, slots=True)
class Lead:
    """A stream leads in a range of output time: it speaks, or was the last who did, or is the first who will."""

    span: TimeRange
    stream: StreamId
    speaks: bool


@dataclass(frozen=True, slots=True)
class Speech:
    """Who speaks in an output: the turns of all streams in order of their beginnings, and who leads."""

    turns: tuple[Turn, ...] = ()
    leads: tuple[Lead, ...] = ()


NOBODY: Final = Speech()


@dataclass(frozen=True, slots=True)
class Speaking:
    """Those who speak in a range of output time."""

    span: TimeRange
    streams: frozenset[StreamId]


def speech_of(
    timeline: Timeline, voices: Mapping[int, Voice], states: Sequence[StateSpan], rules: SpeakerRules
) -> Speech:
    """Who speaks when. ``voices`` are those of sources; screens do not speak, nor does who is muted or not subscribed.

    Only who has a tile leads.
    """
    turns = turns_of(timeline, voices, states, rules)
    shown = {stream: [*_shown(stream, timeline, states)] for stream in {turn.stream for turn in turns}}
    leading = sorted(
        (
            Leading(turn.stream, part.start, part.end, visit.span.start)
            for turn in turns
            for visit in overlapping(shown[turn.stream], TimeRange(turn.from_s, turn.to_s))
            if (part := visit.span.common(TimeRange(turn.from_s, turn.to_s)))
        ),
        key=_order,
    )
    returns = any(at.state.mixer.max_resolution_stream for at in states)
    return Speech(tuple(turns), tuple(leads_of(leading, timeline.end, rules, returns=returns)))


def _order(turn: Turn | Leading) -> tuple[Fraction, Fraction, StreamId]:
    return turn.from_s, turn.to_s, turn.stream


def _shown(stream: StreamId, timeline: Timeline, states: Sequence[StateSpan]) -> Iterator[Visit]:
    """When a stream has a tile."""
    has_picture = bool(timeline.pictures.get(stream))
    parts = cut_by(states, timeline.presence[stream])
    shown = (span for span, state in parts if state.shows(stream, has_picture=has_picture))
    return map(Visit, merge_ranges(shown, Fraction(0)))


def leads_of(
    turns: Sequence[Turn | Leading], end: Fraction, rules: SpeakerRules, *, returns: bool = False
) -> Iterator[Lead]:
    """Who leads, from 0 to ``end``; nothing when nobody speaks.

    Args:
        turns: in order of their beginnings.
        end: of the output, in seconds.
        rules: who leads stays until the end of the turn, and for ``hold_s`` at least.
        returns: whether somebody else has the tile while nobody speaks, so that silence changes it, too.
    """
    changes = [(at, stream, speaks) for at, stream, speaks in _changes(turns, rules, returns=returns) if at < end]
    for (start, stream, speaks), (stop, _, _) in pairwise([*changes, (end, None, False)]):
        if stream and start < stop:
            yield Lead(TimeRange(start, stop), stream, speaks)


def _changes(
    turns: Sequence[Turn | Leading], rules: SpeakerRules, *, returns: bool
) -> Iterator[tuple[Fraction, StreamId, bool]]:
    """From when on who leads, and whether they speak."""
    waiting = deque(turns)
    if not waiting:
        return
    running: list[Turn | Leading] = []
    current: Turn | Leading | None = None
    leader = waiting[0].stream
    latest_s, changed_s = Fraction(0), -rules.hold_s
    is_silent = _begin(waiting[0], rules) > 0
    if is_silent:
        yield latest_s, leader, False
    while True:
        due = max(changed_s + rules.hold_s, current.to_s if current else latest_s)
        while waiting and _begin(waiting[0], rules) <= due:
            running.append(waiting.popleft())
        running = [turn for turn in running if turn.to_s > due]
        if running:
            following = max(running, key=lambda turn: turn.to_s)
            running.remove(following)
            is_near = current is None or current.to_s - following.from_s < rules.pause_s
            at = max(changed_s + rules.hold_s, latest_s, _begin(following, rules)) if is_near else due
        elif waiting:
            following = waiting.popleft()
            at = _begin(following, rules)
            if current and at - due >= rules.hold_s:
                is_silent = True
                yield due, leader, False
        else:
            yield due, leader, False
            return
        yield at, following.stream, True
        if (is_silent and returns) or following.stream != leader:
            changed_s = at
        current, leader, latest_s, is_silent = following, following.stream, at, False


def _begin(turn: Turn | Leading, rules: SpeakerRules) -> Fraction:
    """When the tile changes for a turn: not before its stream is there."""
    return max(turn.shown_s if isinstance(turn, Leading) else Fraction(0), turn.from_s - rules.lead_s)


def speaking(turns: Sequence[Turn], end: Fraction) -> Iterator[Speaking]:
    """Who speaks from 0 to ``end``."""
    edges = sorted({Fraction(0), end, *(edge for turn in turns for edge in (turn.from_s, turn.to_s))})
    waiting = deque(turns)
    now: list[Turn] = []
    for start, stop in pairwise(edge for edge in edges if edge <= end):
        while waiting and waiting[0].from_s <= start:
            now.append(waiting.popleft())
        now = [turn for turn in now if turn.to_s > start]
        yield Speaking(TimeRange(start, stop), frozenset(turn.stream for turn in now))
