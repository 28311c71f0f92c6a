"""Tests of the bench: it measures a recording as it was made, and detects errors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.e2e import measure
from tests.e2e.model import Model
from tests.e2e.painting import mismatch, paint
from tests.support.people import person, record
from tests.support.room import Room


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_beeps_and_flashes_are_found_where_they_were_made(tmp_path: Path, container: Literal["mp4", "webm"]) -> None:
    take = person(2, 0, 4000, 700, 1613, 2900, container=container)
    record(take, tmp_path / "take")
    video, sound = measure.read_video(tmp_path / "take"), measure.read_sound(tmp_path / "take")
    assert video
    assert sound
    assert measure.beeps(sound.samples, take.tone_hz) == pytest.approx([0.7, 1.613, 2.9], abs=0.001)
    white = [measure.luma(picture, (0, 0, *take.size)) > measure.FLASH_LUMA for picture in video.pictures]
    assert [i for i, now in enumerate(white) if now] == [7, 8, 17, 18, 29, 30]


def test_levels_are_measured_in_a_crowd() -> None:
    t = np.arange(measure.RATE_HZ) / measure.RATE_HZ
    wave = (0.1 * np.sin(2 * np.pi * 600 * t) + 0.3 * np.sin(2 * np.pi * 770 * t)).astype(np.float32)
    assert measure.level_db(wave, 600, 0, 1) == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.01)


def test_a_tile_in_the_wrong_place_is_seen() -> None:
    people = tuple(person(number, 0, 1000) for number in range(3))
    right, wrong = (Model(Room(takes)).scenes[5] for takes in (people, people[::-1]))
    expected, swapped = (paint(scene, (640, 360), 2, (0, 0, 0)) for scene in (right, wrong))
    assert mismatch(expected, expected) == 0
    assert mismatch(swapped, expected) > 0.3
    assert mismatch(np.roll(expected, 8, axis=1), expected) > 0.01
