"""``owt-main --probe``, and what a job reports of its inputs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support import people
from tests.support.command import Command, record_once
from tests.support.people import Take
from tests.support.room import Room

PERSON = Take(
    "anna_1",
    0,
    4000,
    people.COLOURS[0],
    440,
    size=(160, 90),
    container="webm",
    frames_ms=(500, 600, 700, 800, 1000, 3000, 3100),
    level_db=-20,
    channels=1,
    holes_ms=((1000, 2000),),
)
"""A recording with gaps in picture and sound, whose picture begins late."""

DRIFTING = Take(
    "ben_1", 0, 20_000, people.COLOURS[1], 440, picture=False, level_db=-20, drift=Fraction(1, 1000), container="webm"
)


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "anna.webm", tmp_path / "ben.webm", tmp_path / "bogus.mp4"]
    record_once(PERSON, paths[0])
    record_once(DRIFTING, paths[1])
    paths[2].write_bytes(b"nothing of the kind")
    return paths


def test_probe_as_text(command: Command, recordings: list[Path]) -> None:
    done = command.run("-q", "--probe", *recordings)
    assert done.returncode == 0
    anna, ben, bogus = recordings
    assert done.stdout.startswith(f"{anna}\n  picture  vp8 160x90, 00:00:00.500 - 00:00:03.200\n")
    assert "           10 pictures a second, from 0.5 to 10\n" in done.stdout
    assert "           1 gap: 00:00:01.000 - 00:00:03.000\n" in done.stdout
    assert "  sound    opus 48000 Hz mono, 00:00:00.000 - 00:00:0" in done.stdout
    assert f"{ben}\n  sound    opus 48000 Hz stereo" in done.stdout
    assert f"{bogus}\n  cannot be used: is not an MP4, WebM, Matroska, Ogg or WAV file\n" in done.stdout
    assert f"{bogus} cannot be used: is not an MP4" in done.stderr


def test_probe_as_json(command: Command, recordings: list[Path]) -> None:
    done = command.run("-q", "--probe=json", *recordings)
    anna, ben, bogus = json.loads(done.stdout)
    assert [entry["file"] for entry in (anna, ben, bogus)] == list(map(str, recordings))
    assert anna["left_out"] is None
    picture, sound = anna["picture"], anna["sounds"][0]
    assert (picture["codec"], picture["sizes"]) == ("vp8", ["160x90"])
    assert picture["rates_hz"] == [0.5, 10, 10]
    assert picture["gaps"] == [{"start": 1, "end": 3}]
    assert picture["damage"] == sound["damage"] == {"count": 0, "first_s": None}
    (gap,) = sound["gaps"]
    assert gap["start"] == pytest.approx(1, abs=0.03)
    assert gap["end"] == pytest.approx(2, abs=0.03)
    assert sound["drift_s"] == pytest.approx(0, abs=0.001)
    assert ben["sounds"][0]["drift_ppm"] == pytest.approx(1000, abs=150)
    assert ben["sounds"][0]["drift_s"] == pytest.approx(0.02, abs=0.003)
    assert ben["picture"] is None
    assert bogus["left_out"] == "is not an MP4, WebM, Matroska, Ogg or WAV file"


def test_damage_is_counted_and_placed(command: Command, tmp_path: Path) -> None:
    record_once(PERSON, tmp_path / "anna.webm")
    data = (tmp_path / "anna.webm").read_bytes()
    cut = len(data) // 2
    (tmp_path / "cut.webm").write_bytes(data[:cut])
    (tmp_path / "hole.webm").write_bytes(data[: cut - 300] + bytes(300) + data[cut:])
    done = command.run("-q", "--probe=json", tmp_path / "cut.webm", tmp_path / "hole.webm")
    shortened, damaged = json.loads(done.stdout)
    assert shortened["sounds"][0]["span"]["end"] < 3.9
    assert damaged["left_out"] is None


@pytest.mark.slow
def test_no_usable_recording_is_an_error_and_with_strict_any_unusable_one(
    command: Command, recordings: list[Path]
) -> None:
    anna, _, bogus = recordings
    missing = bogus.with_name("gone.webm")
    none = command.run("--probe", bogus, missing, bogus.parent)
    assert (none.returncode, none.stdout) == (3, "")
    assert f"{missing} cannot be used: does not exist" in none.stderr
    assert f"{bogus.parent} cannot be used: is not a file" in none.stderr
    assert command.run("--probe", anna, bogus, "--strict").returncode == 3


@pytest.mark.parametrize(
    "arguments", [["--probe"], ["--probe=text"], ["cfg.json", "--probe", "a.webm"], ["--probe", "a", "--plan"]]
)
def test_wrong_arguments_are_refused(command: Command, arguments: list[str]) -> None:
    done = command.run(*arguments)
    assert done.returncode == 2
    assert "usage: owt-main" in done.stderr


@pytest.mark.slow
def test_a_job_reports_each_input(command: Command, tmp_path: Path, job_id: str) -> None:
    room = Room((PERSON, Take("carl_1", 0, 2000, people.COLOURS[2], 600, size=(160, 90), end_ms=1000)), size=(160, 90))
    job_file = room.write(tmp_path / "room", job_id, record_once)
    (index_file,) = tmp_path.glob(f"room/{job_id}.json")
    index = json.loads(index_file.read_text())
    index["Files"].append(index["Files"][0] | {"StreamId": "gone_1", "Name": "gone.webm"})
    index_file.write_text(json.dumps(index))
    done = command.run(job_file)
    assert done.returncode == 0, done.stderr
    anna, carl, gone = json.loads(done.stdout)["inputs"]
    assert anna["picture"]["sizes"] == ["160x90"]
    assert anna["picture"]["used_to_s"] == pytest.approx(3.2, abs=0.01)
    assert anna["sounds"][0]["used_to_s"] == pytest.approx(4, abs=0.03)
    assert carl["picture"]["used_to_s"] == carl["sounds"][0]["used_to_s"] == 1
    assert gone["file"] == "room/gone.webm"
    assert gone["left_out"] == "does not exist"
    assert gone["picture"] is None
    assert gone["sounds"] == []
