"""The output never overwrites what the room has, used or not, whatever it is called."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import SpecError
from owtmix.base.progress import ZERO, NoProgress, Unit
from owtmix.jobfile.settings import Settings
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from tests.support.command import Command


def recordings(tiny: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tiny.parent / "room").iterdir()}


@pytest.fixture
def one(tiny: Path) -> Path:
    """Some recording of the room."""
    return next((tiny.parent / "room").glob("*.mp4"))


def test_a_recording_is_refused_as_the_output(command: Command, tiny: Path, one: Path) -> None:
    before = recordings(tiny)
    done = command.run("--output", f"room/{one.name}", tiny)
    assert done.returncode == 2
    assert f"--output would replace room/{one.name}, an input of this job" in done.stderr
    assert recordings(tiny) == before


def test_a_recording_that_nobody_subscribed_to_is_refused_too(command: Command, tiny: Path, one: Path) -> None:
    stream = one.stem.partition("-")[2]
    lists = [f'--set=Data.SubscribeConfig.Unsubscribe{kind}=["{stream}"]' for kind in ("Audio", "Video")]
    before = recordings(tiny)
    assert command.run("--output", f"room/{one.name}", *lists, tiny).returncode == 2
    assert recordings(tiny) == before


def test_a_recording_whose_entry_is_malformed_is_refused_too(
    command: Command, tiny: Path, one: Path, job_id: str
) -> None:
    stream = one.stem.partition("-")[2]
    index = tiny.with_name(f"{job_id}.json")
    index.write_text(index.read_text().replace(f'"{stream}"', '"nobody"'))
    before = recordings(tiny)
    done = command.run(f"--set=Data.RecordingConfig.StorageConfig.FileNamePrefix=room/{one.name}", tiny)
    assert done.returncode == 2
    assert f"it would replace room/{one.name}, an input of this job" in done.stderr
    assert recordings(tiny) == before


def test_a_link_to_the_folder_does_not_help(command: Command, tiny: Path, one: Path) -> None:
    (tiny.parent / "elsewhere").symlink_to("room")
    before = recordings(tiny)
    assert command.run("--output", f"elsewhere/{one.name}", tiny).returncode == 2
    assert recordings(tiny) == before


def test_a_recording_with_a_name_like_those_under_which_outputs_are_written_first(
    command: Command, tiny: Path, one: Path, job_id: str
) -> None:
    hidden = one.with_name(f".{job_id}.{'0' * 16}.part.mp4")
    one.rename(hidden)
    index = tiny.with_name(f"{job_id}.json")
    index.write_text(index.read_text().replace(one.name, hidden.name))
    before = recordings(tiny)
    done = command.run("--output", "room/fine.mp4", tiny)
    assert done.returncode == 2
    assert f"--output would replace room/{hidden.name}, an input of this job" in done.stderr
    assert recordings(tiny) == before


class LinkWhenPublishing(NoProgress):
    """Makes ``out`` a second name of ``recording`` at the last moment."""

    def __init__(self, recording: Path, out: Path) -> None:
        self._names = recording, out

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        del total, unit, done
        recording, out = self._names
        if name == "publishing":
            out.hardlink_to(recording)


def test_a_hard_link_that_is_made_while_the_job_runs(tiny: Path, one: Path, tmp_path: Path) -> None:
    out = one.with_name("out.mp4")
    before = one.read_bytes()
    job = Job(tiny, Settings(), Options(output="room/out.mp4"), tmp_path / "state")
    with pytest.raises(SpecError, match=r"--output would replace room/out\.mp4, an input of this job"):
        job.run(LinkWhenPublishing(one, out), TemporaryPaths())
    assert one.read_bytes() == out.read_bytes() == before
    assert out.samefile(one)
