"""A recording that crashes its decoder is found and left out from there on; the others are not affected."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import DestinationError, InputError, MixError, RenderError
from owtmix.base.progress import NoProgress
from owtmix.jobfile.settings import LimitSettings, Settings
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from owtmix.workers.alone import SHORTAGES
from tests.e2e import measure
from tests.produce.faulty_tasks import with_faults, without_output
from tests.support import people
from tests.support.command import record_once
from tests.support.fixtures import new_job_id
from tests.support.people import Take
from tests.support.replacing import Replace, replacing
from tests.support.room import Room

FPS: Final = 10
LENGTH_MS: Final = 3000
ROOM: Final = Room(
    takes=(
        Take("anna_1", 0, LENGTH_MS, people.COLOURS[0], 440, size=(160, 90), level_db=-30, container="webm"),
        Take("ben_1", 0, LENGTH_MS, people.COLOURS[1], 1000, size=(160, 90), level_db=-30, container="webm"),
        Take("carl_1", 0, LENGTH_MS, people.COLOURS[2], 1600, size=(160, 90), level_db=-30, container="webm"),
    ),
    size=(320, 180),
    fps=FPS,
    mixer={"MixedVideoLayout": 4},
)
"""Three people in a 2 by 2 grid, tiles of 160 by 90."""

MIDDLES: Final = ((22, 40), (22, 120), (67, 80))
"""Row and column of each tile's middle, in half-size pictures."""

SILENCE_S: Final = 5
"""After so long a worker counts as hung, in tests in which one hangs."""


LONGER: Final = replace(
    ROOM, takes=tuple(replace(take, length_ms=2 * LENGTH_MS) for take in ROOM.takes), audio={}, recording={}
)
"""The same for six seconds, which are three chunks of two."""


def lay_out(folder: Path, room: Room = ROOM, **prefixes: str) -> Path:
    """Write the room, the files of the people in ``prefixes`` with these before their names; returns the job file."""
    job_file = room.write(folder, new_job_id(folder.parent), record_once)
    (index_file,) = (path for path in folder.glob("*.json") if path != job_file)
    index = json.loads(index_file.read_text())
    for entry in index["Files"]:
        path = folder / "room" / entry["Name"]
        entry["Name"] = prefixes.get(entry["StreamId"].removesuffix("_1"), "") + entry["Name"]
        path.rename(path.with_name(entry["Name"]))
    index_file.write_text(json.dumps(index))
    return job_file


CHUNKED: Final = Options(chunk_s=Fraction(2))


def compose(
    job_file: Path,
    options: Options = Options(),  # noqa: B008 - it is frozen
    tasks: Replace = with_faults,
    silence_s: int = 60,
) -> dict[str, Any]:
    state = job_file.parents[1] / "state"
    job = Job(job_file, Settings(limits=LimitSettings(worker_silence_s=silence_s)), options, state, replacing(tasks))
    temporary = TemporaryPaths()
    try:
        return job.run(NoProgress(), temporary).to_json()
    finally:
        temporary.remove_all()


def colours(report: dict[str, Any], person: int) -> list[tuple[int, ...]]:
    """The colour in the middle of a person's tile, of each picture of the output."""
    video = measure.read_video(Path(report["output"]))
    assert video
    row, column = MIDDLES[person]
    return [tuple(map(int, picture[row, column])) for picture in video.pictures]


def shown(report: dict[str, Any], person: int) -> str:
    """For each tenth of a second: ``P`` the person, ``-`` the placeholder, ``?`` something else."""
    wanted = np.array(people.COLOURS[person])

    def letter(colour: np.ndarray[Any, Any]) -> str:
        if np.abs(colour - wanted).max() < 20:
            return "P"
        return "-" if np.ptp(colour) < 12 and 20 < colour.mean() < 120 else "?"

    return "".join(letter(np.array(colour)) for colour in colours(report, person))


def heard(report: dict[str, Any], person: int) -> str:
    """For each quarter of a second: ``H`` the person's tone at full level, ``.`` nothing, ``?`` something else."""
    sound = measure.read_sound(Path(report["output"]))
    assert sound
    levels = [
        measure.level_db(sound.samples[0], ROOM.takes[person].tone_hz, i / 4 + 0.02, i / 4 + 0.23) for i in range(12)
    ]
    return "".join("H" if abs(db + 30) < 2 else "." if db < -60 else "?" for db in levels)


def entry(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (entry for entry in report["inputs"] if name in entry["file"])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            "crash",
            "decoding room/crash-1.2-1-ben_1.webm crashes (SIGSEGV) at 00:00:01.250: a placeholder from there on",
        ),
        ("hang", "decoding room/hang-1.2-1-ben_1.webm hangs: no progress for 5 s at 00:00:01.250: a placeholder from"),
        ("fail", "room/fail-1.2-1-ben_1.webm fails at 00:00:01.250 and is a placeholder from there on: the disk is"),
    ],
    ids=lambda how: how,
)
def test_a_picture_that_cannot_be_decoded_is_a_placeholder_from_there_on(tmp_path: Path, how: str, words: str) -> None:
    report = compose(lay_out(tmp_path / "room", ben=f"{how}-1.2-"), silence_s=SILENCE_S if how == "hang" else 60)
    (warning,) = report["warnings"]
    assert warning.startswith(words)
    assert shown(report, 1) == "P" * 12 + "-" * 18
    assert shown(report, 0) == shown(report, 2) == "P" * 30
    assert [heard(report, person) for person in range(3)] == ["H" * 12] * 3
    if how != "fail":
        ben = entry(report, "ben")
        assert ben["picture"]["used_to_s"] == pytest.approx(1.25, abs=0.001)
        assert ben["sounds"][0]["used_to_s"] == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("how", ["crash", "fail"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_picture_that_fails_in_one_chunk_is_a_placeholder_in_all_later_chunks(
    tmp_path: Path, how: str, workers: int
) -> None:
    """Also in chunks that another worker has made already, or that have found it first."""
    report = compose(lay_out(tmp_path / "room", LONGER, ben=f"{how}-2.5-"), replace(CHUNKED, workers=workers))
    assert "at 00:00:02.550" in report["warnings"][-1]
    assert all("ben_1.webm" in warning for warning in report["warnings"])
    assert shown(report, 1) == "P" * 25 + "-" * 35
    assert shown(report, 0) == shown(report, 2) == "P" * 60
    assert report["chunks"] == {"total": 3, "reused": 0}


def test_a_resumed_run_keeps_the_placeholders_of_the_first_run(tmp_path: Path) -> None:
    """Where a recording killed its worker, alone and twice."""
    job_file = lay_out(tmp_path / "room", LONGER, ben="crash-2.5-")
    with pytest.raises(DestinationError, match="no output is made"):
        compose(job_file, CHUNKED, lambda task: without_output(with_faults(task)))
    report = compose(job_file, CHUNKED, as_given)
    (warning,) = report["warnings"]
    assert "crashes (SIGSEGV) at 00:00:02.550" in warning
    assert report["chunks"] == {"total": 3, "reused": 3}
    assert shown(report, 1) == "P" * 25 + "-" * 35
    again = compose(job_file, replace(CHUNKED, fresh=True), as_given)
    assert again["warnings"] == []
    assert shown(again, 1) == "P" * 60


def test_a_resumed_run_tries_again_what_only_failed(tmp_path: Path) -> None:
    """The reason may be gone."""
    job_file = lay_out(tmp_path / "room", LONGER, ben="fail-2.5-")
    with pytest.raises(DestinationError, match="no output is made"):
        compose(job_file, CHUNKED, lambda task: without_output(with_faults(task)))
    report = compose(job_file, CHUNKED, as_given)
    assert report["warnings"] == []
    assert shown(report, 1) == "P" * 60


def as_given(task: Any) -> Any:
    """For a run in which no task fails."""
    return task


def test_a_sound_that_cannot_be_decoded_is_silence_from_there_on(tmp_path: Path) -> None:
    report = compose(lay_out(tmp_path / "room", ben="sound-crash-1.5-"))
    (warning,) = report["warnings"]
    assert warning.startswith(
        "decoding room/sound-crash-1.5-1-ben_1.webm crashes (SIGSEGV) at 00:00:01.000: silence from"
    )
    assert heard(report, 1) == "H" * 4 + "." * 8
    assert heard(report, 0) == heard(report, 2) == "H" * 12
    assert [shown(report, person) for person in range(3)] == ["P" * 30] * 3
    assert entry(report, "ben")["sounds"][0]["used_to_s"] == pytest.approx(1, abs=0.001)


def test_several_faulty_recordings_are_found_one_after_the_other(tmp_path: Path) -> None:
    report = compose(lay_out(tmp_path / "room", anna="crash-2-", carl="crash-0.5-"))
    assert shown(report, 0) == "P" * 20 + "-" * 10
    assert shown(report, 1) == "P" * 30
    assert shown(report, 2) == "P" * 5 + "-" * 25
    assert len(report["warnings"]) == 2


@pytest.mark.parametrize(
    "prefix",
    ["crash-1-", "probe-crash-", "sound-crash-1-", "fail-1-"],
)
def test_with_strict_a_faulty_recording_fails_the_job(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(InputError, match="ben_1") as raised:
        compose(lay_out(tmp_path / "room", ben=prefix), Options(strict=True))
    assert raised.value.exit_status == 3
    assert not list((tmp_path / "room" / "out").iterdir())


def test_a_recording_that_cannot_be_measured_is_left_out_with_the_reason(tmp_path: Path) -> None:
    report = compose(lay_out(tmp_path / "room", ben="probe-crash-"))
    reason = "reading it crashes (SIGSEGV)"
    assert report["warnings"] == [f"room/probe-crash-1-ben_1.webm is left out: {reason}"]
    assert report["files"]["left_out"] == [{"file": "room/probe-crash-1-ben_1.webm", "reason": reason}]
    assert entry(report, "ben")["left_out"] == reason


def test_an_absurd_measurement_is_not_kept(tmp_path: Path) -> None:
    job_file = lay_out(tmp_path / "room", ben="absurd-")
    reason = "reading it sends a result that cannot be: it has a sound in 0 pieces"
    assert compose(job_file)["warnings"] == [f"room/absurd-1-ben_1.webm is left out: {reason}"]
    report = compose(job_file, tasks=as_given)
    assert report["warnings"] == []
    assert shown(report, 1) == "P" * 30


def test_a_task_whose_process_is_killed_is_repeated(tmp_path: Path) -> None:
    """While measuring, and while composing."""
    job_file = lay_out(tmp_path / "room", ben="probe-once-")
    kill_composing(tmp_path, job_file, 1)
    report = compose(job_file)
    assert shown(report, 1) == "P" * 30
    (warning,) = report["warnings"]
    words = "the picture at 00:00:00.000 is made once more, with less at a time: its process is killed"
    assert warning.startswith(words)


def test_a_source_whose_trial_is_killed_from_outside_is_not_left_out(tmp_path: Path) -> None:
    """The system kills any process when memory is short, and may do so twice."""
    report = compose(lay_out(tmp_path / "room", ben="killed-1.2-"))
    assert all("with less at a time: its process is killed" in warning for warning in report["warnings"])
    assert shown(report, 1) == "P" * 30
    assert len(list((tmp_path / "room" / "room").glob("killed-*.second"))) == 1


def test_a_task_whose_process_is_killed_again_and_again_fails_the_job(tmp_path: Path) -> None:
    job_file = lay_out(tmp_path / "room")
    kill_composing(tmp_path, job_file, SHORTAGES)
    with pytest.raises(RenderError) as raised:
        compose(job_file)
    assert raised.value.exit_status == 4
    words = f"the picture at 00:00:00.000 cannot be made: it was tried {SHORTAGES} times, and its process is killed"
    assert str(raised.value).startswith(words)
    assert isinstance(raised.value, MixError)


def kill_composing(tmp_path: Path, job_file: Path, times: int) -> None:
    """Make the process that composes be killed ``times`` times."""
    work = tmp_path / "state" / "work" / json.loads(job_file.read_text())["Internal"]["JobId"]
    work.mkdir(parents=True)
    for number in range(times):
        (work / f"kill-{number}").touch()
