"""Rooms in which the largest tile follows who speaks, predicted by updates that say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from tests.e2e.bench import Bench, check_pictures
from tests.support.people import Take, person
from tests.support.room import Room

LENGTH_MS: Final = 14_000
TALK: Final[tuple[Take, ...]] = (
    person(0, 0, LENGTH_MS, words_ms=((1000, 4500), (10_100, 10_900)), container="webm", size=(240, 180)),
    person(1, 0, LENGTH_MS, words_ms=((5000, 8500),), voice_hz=210.0, rate_hz=44_100),
    person(2, 0, LENGTH_MS, words_ms=((6500, 6900), (9000, 13_000)), voice_hz=100.0, channels=1),
)
"""Each speaks for some seconds; the third coughs before, and the first interjects a word."""

FOLLOWED: Final[dict[str, Any]] = {"MixedVideoLayout": 2, "FollowSpeaker": True}


def leading(*changes: tuple[int, str]) -> tuple[tuple[int, dict[str, Any]], ...]:
    """Updates that give the largest tile to a stream from a millisecond of the room on."""
    return tuple(
        (ms, {"Action": "job.mixer.update", "Data": {"MixerConfig": {"MaxResolutionStream": stream}}})
        for ms, stream in changes
    )


def predicted(room: Room, *changes: tuple[int, str], **keys: Any) -> Room:
    """The room as it would be without anybody listening."""
    mixer = {key: value for key, value in room.mixer.items() if key != "FollowSpeaker"}
    return replace(room, mixer=mixer | keys, updates=leading(*changes))


def test_the_largest_tile_follows_who_speaks(bench: Bench) -> None:
    room = Room(TALK, mixer=FOLLOWED)
    composed = bench.compose(room)
    check_pictures(replace(composed, room=predicted(room, (0, "p0_1"), (4700, "p1_1"), (8700, "p2_1"))))
    speakers = [(turn["stream"], turn["from_s"], turn["to_s"]) for turn in composed.report["speakers"]]
    assert [who for who, _, _ in speakers] == ["p0_1", "p1_1", "p2_1"]
    times = [t for _, start, end in speakers for t in (start, end)]
    assert times == pytest.approx([1, 4.5, 5, 8.5, 9, 13], abs=0.11)


def test_whom_the_job_names_has_it_while_nobody_speaks(bench: Bench) -> None:
    room = Room((TALK[0], TALK[1]), mixer=FOLLOWED | {"MaxResolutionStream": "p1_1"})
    composed = bench.compose(room)
    expected = predicted(room, (0, "p1_1"), (700, "p0_1"), (4700, "p1_1"))
    check_pictures(replace(composed, room=expected))


def test_nothing_follows_in_a_room_where_nobody_speaks(bench: Bench) -> None:
    """Beeps and a tone are no voice."""
    silent = (person(0, 0, 6000, 1000, 3000), person(1, 0, 6000, level_db=-30.0))
    room = Room(silent, mixer=FOLLOWED)
    composed = bench.compose(room)
    check_pictures(replace(composed, room=predicted(room)))
    assert composed.report["speakers"] == []


def test_who_speaks_is_not_told_where_it_decides_nothing(bench: Bench) -> None:
    assert bench.compose(Room(TALK[:2])).report["speakers"] is None
