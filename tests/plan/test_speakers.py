"""Who speaks when, and who has the largest tile for it (docs/rooms.md, "Who speaks")."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.ids import StreamId
from owtmix.jobfile.room_state import RoomState, SwitchedOff
from owtmix.plan.course import StateSpan
from owtmix.plan.media_info import Clip
from owtmix.plan.speakers import Leading, leads_of, speaking, speech_of
from owtmix.plan.timeline import TimelineRules, build_timeline
from owtmix.plan.turns import SpeakerRules, Turn
from owtmix.plan.voice import HOP_S, Voice, VoiceRun, check_voice
from tests.support.plans import ANNA, BEN, CARL, JOB, SCREEN, heard, room, span

RULES: Final = SpeakerRules()
ALONE: Final = TimelineRules(None, Fraction(60), Fraction(1), False, Fraction(86_400))


def turn(stream: StreamId, start: float, end: float) -> Turn:
    return Turn(stream, Fraction(str(start)), Fraction(str(end)))


def led(*turns: Turn | Leading, end: int = 60, returns: bool = False) -> list[tuple[str, float, bool]]:
    """Who leads from when on, and whether they speak."""
    leads = leads_of(turns, Fraction(end), RULES, returns=returns)
    return [(lead.stream.user, float(lead.span.start), lead.speaks) for lead in leads]


def test_the_tile_changes_before_a_turn_begins() -> None:
    assert led(turn(ANNA, 5, 10), turn(BEN, 14, 20)) == [
        ("anna", 0, False),
        ("anna", 4.7, True),
        ("anna", 10, False),
        ("ben", 13.7, True),
        ("ben", 20, False),
    ]


def test_nobody_leads_where_nobody_speaks() -> None:
    assert led() == []


def test_a_short_pause_between_two_people_is_none() -> None:
    """Whoever has the tile while nobody speaks would have it for less than three seconds."""
    assert led(turn(ANNA, 0, 10), turn(BEN, 12, 20))[:2] == [("anna", 0, True), ("ben", 11.7, True)]


@pytest.mark.parametrize(
    ("ends", "changes"),
    [
        pytest.param(10.5, 9.7, id="interrupts near the end"),
        pytest.param(15, 15, id="speaks along for long"),
    ],
)
def test_who_begins_while_another_speaks(ends: float, changes: float) -> None:
    assert led(turn(ANNA, 1, ends), turn(BEN, 10, 30))[2] == ("ben", changes, True)


def test_an_interjection_changes_nothing() -> None:
    assert [who for who, _, _ in led(turn(ANNA, 0, 20), turn(BEN, 5, 7), turn(CARL, 10, 19))] == ["anna", "anna"]


def test_two_who_speak_at_once_do_not_make_it_flicker() -> None:
    turns = [turn(ANNA, 0, 10), *(turn(BEN, start, start + 1.5) for start in (1, 4, 7)), turn(BEN, 10.5, 15)]
    assert [who for who, _, _ in led(*turns)] == ["anna", "ben", "ben"]


def test_the_tile_does_not_change_twice_within_three_seconds() -> None:
    """Ben has said all by then, and Anna speaks again."""
    turns = turn(ANNA, 1, 2.2), turn(BEN, 2.5, 3.8), turn(ANNA, 4, 9)
    assert [who for who, _, _ in led(*turns, returns=True)] == ["anna", "anna", "anna", "anna"]
    assert led(turn(ANNA, 1, 2.2), turn(BEN, 2.5, 6), returns=True)[2] == ("ben", 3.7, True)


def test_silence_is_no_change_when_nobody_else_has_the_tile_then() -> None:
    """Anna has had it all the time when Ben begins."""
    turns = turn(ANNA, 1, 4), turn(ANNA, 12, 13.2), turn(BEN, 13.4, 20)
    assert ("ben", 13.1, True) in led(*turns)
    assert ("ben", 14.7, True) in led(*turns, returns=True)


def test_nobody_leads_before_they_are_there() -> None:
    late = Leading(BEN, Fraction("10.1"), Fraction(20), Fraction(10))
    assert ("ben", 10, True) in led(turn(ANNA, 1, 9.8), late)


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    found = []
    for stream in (ANNA, BEN, CARL):
        at = Fraction(0)
        for gap, length in draw(st.lists(st.tuples(st.integers(41, 200), st.integers(20, 400)), max_size=6)):
            found.append(Turn(stream, at + gap * HOP_S, at + (gap + length) * HOP_S))
            at = found[-1].to_s
    return sorted(found, key=lambda one: (one.from_s, one.to_s))


@given(found=turns(), returns=st.booleans())
def test_leads_cover_the_output_and_are_calm(found: list[Turn], *, returns: bool) -> None:
    end = max((one.to_s for one in found), default=Fraction(0)) + 5
    leads = [*leads_of(found, end, RULES, returns=returns)]
    assert bool(leads) == bool(found)
    assert all(a.span.end == b.span.start for a, b in pairwise(leads))
    if not leads:
        return
    assert span(leads[0].span.start, leads[-1].span.end) == span(0, end)
    changes = [b.span.start for a, b in pairwise(leads) if a.stream != b.stream]
    assert all(b - a >= RULES.hold_s for a, b in pairwise(changes))
    # Between silence and speech the tile may change, too, when there is MaxResolutionStream.
    changes = (
        []
        if not returns
        else [b.span.start for a, b in pairwise(leads[1:]) if (a.stream, a.speaks) != (b.stream, b.speaks)]
    )
    assert all(b - a >= RULES.hold_s for a, b in pairwise(changes[:-1]))
    for lead in leads:
        if lead.speaks:
            theirs = [one for one in found if one.stream == lead.stream]
            assert any(one.from_s - RULES.lead_s <= lead.span.start < one.to_s for one in theirs)


@given(turns())
def test_who_speaks_is_known_at_all_times(found: list[Turn]) -> None:
    end = max((one.to_s for one in found), default=Fraction(0)) + 5
    parts = [*speaking(found, end)]
    assert span(parts[0].span.start, parts[-1].span.end) == span(0, end)
    for part in parts:
        assert part.streams == {one.stream for one in found if one.from_s <= part.span.start < one.to_s}


def hops(start_s: float, end_s: float, level: int = -20) -> VoiceRun:
    first, end = round(start_s / HOP_S), round(end_s / HOP_S)
    return VoiceRun(first, (level,) * (end - first))


def spoken(
    clips: Sequence[Clip], voices: Mapping[int, Sequence[VoiceRun]], state: StateSpan | None = None
) -> list[tuple[str, float, float]]:
    """The turns in a room, with the voices of its clips."""
    timeline = build_timeline(clips, ALONE)
    states = [state or StateSpan(span(0, timeline.end), JOB, RoomState(JOB.mixer, JOB.subscription, 0))]
    by_source = {number: Voice(tuple(runs)) for number, runs in voices.items()}
    found = speech_of(timeline, by_source, states, RULES)
    assert found.leads == ()  # nobody has a tile
    return [(one.stream.user, float(one.from_s), float(one.to_s)) for one in found.turns]


PAIR: Final = room(heard(ANNA, 0, 60), heard(BEN, 0, 60))


def test_turns_are_in_output_time() -> None:
    clips = room(heard(ANNA, 0, 60), heard(BEN, Fraction(3217, 1000), 60))
    assert spoken(clips, {0: [hops(1, 4)], 1: [hops(5, 9)]}) == [("anna", 1, 4), ("ben", 8.2, 12.2)]


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        pytest.param([hops(5, 5.4)], [], id="a cough"),
        pytest.param([hops(5, 5.4), hops(6.9, 7.3)], [], id="two coughs"),
        pytest.param([hops(5, 5.95)], [], id="too short"),
        pytest.param([hops(5, 6)], [(5, 6)], id="a second"),
        pytest.param([hops(5, 7), hops(8.95, 11)], [(5, 11)], id="a short pause"),
        pytest.param([hops(5, 7), hops(9.1, 11)], [(5, 7), (9.1, 11)], id="a long pause"),
        pytest.param([hops(58, 90)], [(58, 60)], id="beyond the end of the recording"),
        pytest.param([hops(-3, 2)], [(0, 2)], id="before its beginning"),
    ],
)
def test_what_is_a_turn(runs: Sequence[VoiceRun], found: list[tuple[float, float]]) -> None:
    assert [(start, end) for _, start, end in spoken(PAIR, {0: runs})] == found


@pytest.mark.parametrize("delay_s", [0, 0.05, 0.3])
def test_an_echo_is_no_turn_and_a_softer_voice_is(delay_s: float) -> None:
    echo = hops(5 + delay_s, 12 + delay_s, -40)
    assert spoken(PAIR, {0: [hops(5, 12)], 1: [echo]}) == [("anna", 5, 12)]
    softer = hops(5 + delay_s, 12 + delay_s, -32)
    assert [who for who, _, _ in spoken(PAIR, {0: [hops(5, 12)], 1: [softer]})] == ["anna", "ben"]
    assert spoken(PAIR, {0: [hops(5, 12)], 1: [hops(20, 25, -40)]}) == [("anna", 5, 12), ("ben", 20, 25)]


def test_a_key_that_is_struck_makes_no_voice_of_an_echo() -> None:
    levels = tuple(-30 if number % 5 == 0 else -40 for number in range(140))
    assert spoken(PAIR, {0: [hops(5, 12)], 1: [VoiceRun(100, levels)]}) == [("anna", 5, 12)]


@st.composite
def voices(draw: st.DrawFn) -> list[Voice]:
    """Of two people, in pieces that touch, overlap and echo each other."""
    found = []
    for _ in range(2):
        runs, at = [], 0
        for gap, levels in draw(
            st.lists(
                st.tuples(st.integers(1, 60), st.lists(st.integers(-60, -10), min_size=1, max_size=60)), max_size=9
            )
        ):
            runs.append(VoiceRun(at + gap, tuple(levels)))
            at += gap + len(levels)
        found.append(Voice(tuple(runs)))
    return found


@given(voices(), st.integers(1, 50))
def test_turns_do_not_depend_on_sections(found: list[Voice], section: int) -> None:
    by_source = {number: voice.runs for number, voice in enumerate(found)}
    whole = spoken(PAIR, by_source)
    with patch("owtmix.plan.turns.SECTION_HOPS", section):
        assert spoken(PAIR, by_source) == whole


def test_memory_does_not_grow_with_the_length_of_a_room() -> None:
    long = room(heard(ANNA, 0, 900), heard(BEN, 0, 900))
    by_source = {0: [hops(0, 900)], 1: [hops(0, 900, -25)]}
    tracemalloc.start()
    try:
        with patch("owtmix.plan.turns.SECTION_HOPS", 600):
            assert spoken(long, by_source) == [("anna", 0, 900), ("ben", 0, 900)]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_screens_and_muted_people_do_not_speak() -> None:
    clips = room(heard(SCREEN, 0, 60), heard(BEN, 0, 60))
    assert spoken(clips, {0: [hops(5, 12)], 1: [hops(20, 25)]}) == [("ben", 20, 25)]
    muted = RoomState(JOB.mixer, JOB.subscription, 0, muted=SwitchedOff({BEN: [1]}, 1))
    assert spoken(clips, {1: [hops(20, 25)]}, StateSpan(span(0, 60), JOB, muted)) == []


def test_several_recordings_of_a_person_are_one_voice() -> None:
    clips = room(heard(ANNA, 0, 10), heard(ANNA, 10, 20))
    assert spoken(clips, {0: [hops(8, 10)], 1: [hops(0.5, 3)]}) == [("anna", 8, 13)]


@pytest.mark.parametrize(
    "voice",
    [
        Voice((VoiceRun(0, ()),)),
        Voice((VoiceRun(0, (-200,)),)),
        Voice((VoiceRun(5, (-20,)), VoiceRun(0, (-20,)))),
        Voice((VoiceRun(0, (-20,)), VoiceRun(1, (-20,)))),
        Voice((VoiceRun(1 << 62, (-20,)),)),
    ],
)
def test_what_no_recording_has_is_refused(voice: Voice) -> None:
    check_voice(replace(voice, runs=(VoiceRun(-3, (-20, -21)),)))
    with pytest.raises(ValueError, match="has "):
        check_voice(voice)
