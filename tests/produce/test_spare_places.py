"""One job uses places that nobody else waits for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from owtmix.produce.spare_places import LOOK_EVERY_S, SparePlaces
from owtmix.workers.places import Places


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_without_places_there_are_no_further_workers() -> None:
    spare = SparePlaces()
    assert spare.useful == 0
    assert not spare.take(1)


def test_each_worker_holds_one_place_and_no_job_more_than_it_has_memory_for(tmp_path: Path) -> None:
    places = Places(tmp_path / "places", 4)
    spare = SparePlaces(places, most=2)
    assert [spare.take(worker) for worker in (1, 2, 3)] == [True, True, False]
    assert 1 in spare
    spare.give_back(1)
    spare.give_back(1)
    assert 1 not in spare
    assert spare.take(3)
    assert [number in spare for number in (1, 2, 3)] == [False, True, True]


def test_one_more_worker_is_useful_while_a_place_is_spare(tmp_path: Path) -> None:
    """It looks a few times a second only: every look opens files."""
    clock, places = Clock(), Places(tmp_path / "places", 2)
    spare = SparePlaces(places, most=5, clock=clock)
    assert spare.useful == 1
    assert spare.take(1)
    other = places.take()
    assert other is not None
    clock.now_s += LOOK_EVERY_S / 2
    assert spare.useful == 2
    clock.now_s += LOOK_EVERY_S
    assert spare.useful == 1
    os.close(other)
    clock.now_s += LOOK_EVERY_S
    assert spare.useful == 2
    with places.wait():
        clock.now_s += LOOK_EVERY_S
        assert spare.useful == 1


def test_a_job_goes_on_without_places_that_vanish(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spare = SparePlaces(Places(tmp_path / "places", 2), most=2)
    shutil.rmtree(tmp_path / "places")
    assert not spare.take(1)
    assert spare.useful == 0
    assert "no further workers" in caplog.text
