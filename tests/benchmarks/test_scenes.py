"""The scenes are the rooms that they are said to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.recordings import CLIPS, moving, speaking
from benchmarks.scenes import SCENES, cut, index_document, job_document, placed
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.reader import read_job


@pytest.mark.parametrize("name", SCENES)
def test_job_and_index_are_accepted_without_a_warning(name: str) -> None:
    assert not read_job(json.dumps(job_document(SCENES[name])).encode()).warnings
    read = read_index(json.dumps(index_document(SCENES[name])).encode())
    assert not read.warnings
    assert read.unit == "epoch-milliseconds"


def test_lively9_is_lively() -> None:
    scene = SCENES["lively9"]
    moments = [t for take in scene.takes for t in (take.start_s, take.start_s + take.length_s)]
    assert sum(0 < t < scene.length_s for t in moments) == 24
    people = {take.stream: take.codec for take in scene.takes if not take.is_screen}
    assert len(people) == 9
    assert sorted(people.values()).count("h264") == 4


def test_the_hour_lasts_an_hour() -> None:
    assert max(start_s + take.length_s for _, take, start_s in placed(SCENES["hour"])) == 3600


def test_nothing_is_left_after_a_cut(tmp_path: Path) -> None:
    index = index_document(SCENES["lively9"])
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps(index), encoding="utf-8")
    files = json.loads(cut(whole, 12.5, tmp_path / "cut.json").read_text(encoding="utf-8"))["Files"]
    assert {file["StreamId"] for file in files} == {"p01_1", "p02_1", "p03_1", "p04_1", "p05_1"}
    assert max(file["EndTime"] for file in files) == index["StartTime"] + 12_500


def test_no_two_people_look_or_sound_the_same() -> None:
    people = range(1, 26)
    for kind in ("real", "generated"):
        assert len({str(moving(n, 640, 360, kind)) for n in people}) == len(people)
        assert len({str(speaking(n, kind)) for n in people}) == len(people)


def test_people_beyond_the_clips_are_shown_otherwise() -> None:
    assert "hflip" in moving(1 + len(CLIPS), 640, 360, "real")[1]
    assert "hflip" not in moving(1, 640, 360, "real")[1]
