"""Levels and timing of the sound."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pytest

from tests.e2e import measure
from tests.e2e.bench import Bench, check_sync
from tests.support.people import Take, person
from tests.support.room import Room

LEVEL_STEP_DB: Final = 0.1
"""Below audibility."""

LEVEL_DB: Final = 0.5
"""Tolerance between the levels of a take and of the output: two lossy codecs."""

CEILING_DB: Final = -0.5
"""The limiter's ceiling is -1 dBTP; AAC adds some ringing."""


def test_nobody_gets_louder_or_softer_while_a_fourth_joins_and_leaves(bench: Bench) -> None:
    three: tuple[Take, ...] = (
        person(0, 0, 6000, level_db=-23.0),
        person(1, 0, 6000, level_db=-26.0, container="webm"),
        person(2, 0, 6000, level_db=-20.0, rate_hz=44_100, channels=1),
    )
    fourth = person(3, 2011, 2100, level_db=-17.0)
    sound = bench.compose(Room((*three, fourth), size=(160, 90))).sound
    for take in three:
        assert take.level_db is not None
        for channel in sound.samples:
            parts = [(0.3, 1.8), (2.3, 3.8), (4.3, 5.8)]
            levels = [measure.level_db(channel, take.tone_hz, start, end) for start, end in parts]
            assert all(abs(after - before) < LEVEL_STEP_DB for before, after in pairwise(levels)), levels
            assert abs(levels[0] - take.level_db) < LEVEL_DB, levels


def test_full_scale_sound_does_not_clip(bench: Bench) -> None:
    loud = tuple(person(number, 0, 3000, level_db=-3.1) for number in range(3))
    sound = bench.compose(Room(loud, size=(160, 90))).sound
    assert 20 * np.log10(np.abs(sound.samples).max()) < CEILING_DB
    levels = [measure.level_db(sound.samples[0], take.tone_hz, 0.5, 2.5) for take in loud]
    assert max(levels) - min(levels) < LEVEL_DB
    assert measure.level_db(sound.samples[0], 3 * loud[0].tone_hz, 0.5, 2.5) < min(levels) - 30


def test_one_side_of_a_headset_is_heard_on_both(bench: Bench) -> None:
    left, right = bench.compose(Room((person(0, 0, 2000, 500, channels=1),), size=(160, 90))).sound.samples
    assert np.abs(left - right).max() < 0.01


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_holes_and_drifting_clocks_keep_beeps_in_time(bench: Bench, container: str) -> None:
    rates: dict[str, Any] = {"rate_hz": 44_100 if container == "mp4" else 48_000, "container": container}
    room = Room(
        (
            person(0, 0, 9000, 500, 4300, 8500, holes_ms=((1013, 3507), (5000, 5600)), **rates),
            person(1, 123, 8700, 700, 4500, 8300, drift=Fraction(1, 500), **rates),
            person(2, 377, 8300, 900, 4700, 8100, drift=Fraction(-1, 500), first_pts_ms=60_000, **rates),
        ),
        size=(160, 90),
    )
    check_sync(bench.compose(room))


def test_the_longest_pause_is_silent(bench: Bench) -> None:
    take = person(0, 0, 4000, level_db=-20.0, holes_ms=((1000, 3000),), container="webm")
    samples = bench.compose(Room((take,), size=(160, 90))).sound.samples
    assert np.abs(samples[:, 1200 * 48 : 2800 * 48]).max() < 0.001
