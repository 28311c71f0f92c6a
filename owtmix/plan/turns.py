"""Turns: who speaks when, by the voices in recordings (docs/rooms.md, "Who speaks").

A room is looked at in sections: memory does not grow with its length.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Final

from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.plan.course import StateSpan, where_not
from owtmix.plan.timeline import PlacedClip, Timeline
from owtmix.plan.voice import HOP_S, Voice, VoiceRun

SECTION_HOPS: Final = 12_000
ECHO_HOPS: Final = 6
"""Echoes of other people come so much later, at most."""
BESIDE_HOPS: Final = 5

Levels = dict[int, int]
"""A level (whole dB) by the number of the hop of output time."""
Loudest = dict[int, tuple[int, StreamId]]
"""The highest level, and whose it is, by the number of the hop."""


@dataclass(frozen=True, slots=True)
class SpeakerRules:
    """What counts as speaking (``[speakers]`` in ``conf/owt.toml``), in seconds and dB."""

    turn_s: Fraction = Fraction(1)
    pause_s: Fraction = Fraction(2)
    lead_s: Fraction = Fraction(3, 10)
    hold_s: Fraction = Fraction(3)
    crosstalk_db: int = 15


@dataclass(frozen=True, slots=True)
class Turn:
    """A stream speaks from one output time (s) to another."""

    stream: StreamId
    from_s: Fraction
    to_s: Fraction


def turns_of(
    timeline: Timeline, voices: Mapping[int, Voice], states: Sequence[StateSpan], rules: SpeakerRules
) -> list[Turn]:
    """The turns of all, in order of their beginnings; ``voices`` are those of sources.

    Screens do not speak, nor does who is muted or not subscribed.
    """
    heard = [
        _HeardStream(stream, sounds, voices, states)
        for stream, sounds in timeline.sounds.items()
        if not stream.is_screen
    ]
    own: dict[StreamId, list[range]] = {one.stream: [] for one in heard}
    end = ceil(timeline.end / HOP_S)
    for start in range(0, end, SECTION_HOPS):
        section = range(start, min(end, start + SECTION_HOPS))
        around = range(section.start - BESIDE_HOPS - ECHO_HOPS, section.stop + BESIDE_HOPS)
        levels = {one.stream: found for one in heard if (found := one.levels(around))}
        for stream, hops in _without_echoes(levels, rules.crosstalk_db, section).items():
            _extend(own[stream], hops)
    turns = (
        Turn(stream, span.start, span.end)
        for stream, pieces in own.items()
        for span in _spans(pieces, timeline.end, rules)
    )
    return sorted(turns, key=lambda turn: (turn.from_s, turn.to_s, turn.stream))


@dataclass(frozen=True, slots=True)
class _HeardVoice:
    """The voice of a recording, heard in ``hops`` of output time; hops of its own plus ``shift`` are those."""

    hops: range
    shift: int
    runs: Sequence[VoiceRun]


class _HeardStream:
    """The voice of a stream where it is heard."""

    def __init__(
        self,
        stream: StreamId,
        sounds: Sequence[PlacedClip],
        voices: Mapping[int, Voice],
        states: Sequence[StateSpan],
    ) -> None:
        self.stream = stream
        self._voices = [
            _HeardVoice(
                range(ceil(placed.span.start / HOP_S), floor(placed.span.end / HOP_S)),
                round(placed.offset_s / HOP_S),
                voices[placed.clip.source].runs,
            )
            for placed in sounds
            if placed.clip.source in voices
        ]
        whole = TimeRange(states[0].span.start, states[-1].span.end)
        silent = where_not(states, whole, lambda state: state.listens_to(stream)) if self._voices else ()
        self._silent = [range(floor(span.start / HOP_S), ceil(span.end / HOP_S)) for span in silent]

    def levels(self, around: range) -> Levels:
        """The level of each of the hops ``around`` in which it has a voice."""
        found: Levels = {}
        for voice in self._voices:
            heard = _common(voice.hops, around)
            first = bisect_right(voice.runs, heard.start - voice.shift, key=lambda run: run.first) - 1
            for number in range(max(0, first), len(voice.runs) if heard else 0):
                run = voice.runs[number]
                begins = run.first + voice.shift
                if begins >= heard.stop:
                    break
                hops = _common(range(begins, begins + len(run.levels)), heard)
                for hop in hops:
                    level = run.levels[hop - begins]
                    found[hop] = max(level, found.get(hop, level))
        for number in range(bisect_right(self._silent, around.start, key=lambda hops: hops.stop), len(self._silent)):
            if self._silent[number].start >= around.stop:
                break
            for hop in _common(self._silent[number], around):
                found.pop(hop, None)
        return found


def _common(some: range, others: range) -> range:
    return range(max(some.start, others.start), min(some.stop, others.stop))


def _without_echoes(levels: Mapping[StreamId, Levels], crosstalk_db: int, section: range) -> dict[StreamId, list[int]]:
    """The hops of ``section`` in which each stream has a voice of its own, in order."""
    loudest: Loudest = {}
    for stream, hops in levels.items():
        for hop, level in hops.items():
            if hop not in loudest or level > loudest[hop][0]:
                loudest[hop] = level, stream
    return {
        stream: _own(hops, set(_echoes(stream, hops, loudest, crosstalk_db)), section)
        for stream, hops in levels.items()
    }


def _echoes(stream: StreamId, hops: Levels, loudest: Loudest, crosstalk_db: int) -> Iterator[int]:
    """The hops in which somebody else was so much louder, then or a moment before."""
    for hop, level in hops.items():
        least = level + crosstalk_db
        for before in range(hop - ECHO_HOPS, hop + 1):
            other = loudest.get(before)
            if other is not None and other[0] >= least and other[1] != stream:
                yield hop
                break


def _own(hops: Levels, echoes: AbstractSet[int], section: range) -> list[int]:
    """Of neighbours, what more than half of them are: a key that is struck makes no voice of an echo."""
    inside = sorted(hop for hop in hops if hop in section)
    if not echoes:
        return inside
    found = []
    for hop in inside:
        beside = [near for near in range(hop - BESIDE_HOPS, hop + BESIDE_HOPS + 1) if near in hops]
        if 2 * sum(near in echoes for near in beside) < len(beside):
            found.append(hop)
    return found


def _extend(pieces: list[range], hops: Sequence[int]) -> None:
    """Add ``hops``, which come after ``pieces``."""
    for hop in hops:
        if pieces and pieces[-1].stop == hop:
            pieces[-1] = range(pieces[-1].start, hop + 1)
        else:
            pieces.append(range(hop, hop + 1))


def _spans(pieces: Sequence[range], end: Fraction, rules: SpeakerRules) -> Iterator[TimeRange]:
    """The turns that pieces of voice make: with shorter pauses, and voice for long enough."""
    if not pieces:
        return
    pause, least = ceil(rules.pause_s / HOP_S), ceil(rules.turn_s / HOP_S)
    borders = [n for n, (before, after) in enumerate(pairwise(pieces), 1) if after.start - before.stop >= pause]
    for first, behind in pairwise([0, *borders, len(pieces)]):
        if sum(map(len, pieces[first:behind])) >= least:
            start, stop = max(Fraction(0), pieces[first].start * HOP_S), min(end, pieces[behind - 1].stop * HOP_S)
            if start < stop:
                yield TimeRange(start, stop)
