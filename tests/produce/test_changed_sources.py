"""A recording that changes while a job runs is composed as planned, or left out from there on, with a warning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import ChangedError, DestinationError, InputError
from owtmix.base.file_version import file_version
from owtmix.base.progress import NoProgress
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.settings import Settings
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from owtmix.media.probe import probe
from owtmix.media.skip_frames import SampleTimes
from owtmix.produce.file_sources import FileSources
from owtmix.storage import LocalCopy
from owtmix.workers.base import Executor
from owtmix.workers.pending_files import mark_fetched
from tests.produce.changing_tasks import with_changes
from tests.produce.test_production import CHUNKED, LONGER, ROOM, entry, heard, lay_out, shown
from tests.support.changes import CHANGES
from tests.support.command import TINY, record_once
from tests.support.executor import InProcessExecutor
from tests.support.replacing import Replace, ReplacingExecutor


def compose(job_file: Path, options: Options = Options(), tasks: Replace = lambda task: task) -> dict[str, Any]:  # noqa: B008 - it is frozen
    """Compose without processes: a worker must not change a recording."""

    @contextmanager
    def open_executor(_settings: Settings, warn: Callable[[str], None], _workers: int | None) -> Iterator[Executor]:
        yield ReplacingExecutor(InProcessExecutor(warn), tasks)

    job = Job(job_file, Settings(), options, job_file.parents[1] / "state", open_executor)
    return job.run(NoProgress(), TemporaryPaths()).to_json()


EVERY = pytest.mark.parametrize("how", CHANGES)


@EVERY
def test_a_picture_is_a_placeholder_from_where_its_file_changed(tmp_path: Path, how: str) -> None:
    report = compose(lay_out(tmp_path / "room", ben=f"{how}-1.2-"), tasks=with_changes)
    warning = next(warning for warning in report["warnings"] if "placeholder" in warning)
    assert warning.startswith(
        f"room/{how}-1.2-1-ben_1.webm fails at 00:00:01.250 and is a placeholder from there on: it was changed,"
    )
    assert shown(report, 1) == "P" * 12 + "-" * 18
    assert re.fullmatch(r"H*\.*", heard(report, 1)), "as planned, or silent from there on"
    assert shown(report, 0) == shown(report, 2) == "P" * 30
    assert heard(report, 0) == heard(report, 2) == "H" * 12


@EVERY
def test_a_sound_is_silent_from_where_its_file_changed(tmp_path: Path, how: str) -> None:
    report = compose(lay_out(tmp_path / "room", ben=f"sound-{how}-1.4-"), tasks=with_changes)
    warning = next(warning for warning in report["warnings"] if "silent" in warning)
    assert warning.startswith(f"room/sound-{how}-1.4-1-ben_1.webm fails at 00:00:01.500 and is silent from there on")
    assert heard(report, 1) == "H" * 6 + "." * 6
    assert re.fullmatch(r"P*-*", shown(report, 1))


def test_chunks_that_were_finished_before_stay_and_later_ones_are_placeholders(tmp_path: Path) -> None:
    job_file = lay_out(tmp_path / "room", LONGER, ben="replaced-3.2-")
    report = compose(job_file, replace(CHUNKED, workers=1), with_changes)
    assert shown(report, 1) == "P" * 32 + "-" * 28
    assert entry(report, "ben")["picture"]["used_to_s"] == pytest.approx(3.25, abs=0.01)


def test_chunks_that_were_not_made_before_have_placeholders_too(tmp_path: Path) -> None:
    """Several processes are at different places: nothing of the other file is shown anywhere."""
    job_file = lay_out(tmp_path / "room", LONGER, ben="replaced-3.2-")
    picture = shown(compose(job_file, replace(CHUNKED, workers=3), with_changes), 1)
    assert re.fullmatch(r"P*-{28,}", picture)
    assert len(picture) == 60


@pytest.mark.parametrize("name", ["truncated-1.2-", "sound-replaced-1.4-", "probe-overwritten-0-"])
def test_with_strict_it_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"ben_1\.webm .*it was changed, replaced or removed"):
        compose(lay_out(tmp_path / "room", ben=name), Options(strict=True), with_changes)
    assert not list((tmp_path / "room" / "out").glob("[!.]*"))


@EVERY
def test_one_that_changes_while_it_is_measured_is_left_out_and_no_measurement_is_kept(tmp_path: Path, how: str) -> None:
    report = compose(lay_out(tmp_path / "room", ben=f"probe-{how}-0-"), tasks=with_changes)
    (warning,) = report["warnings"]
    assert warning.startswith(f"room/probe-{how}-0-1-ben_1.webm is left out: it was changed, replaced or removed")
    assert len(list((tmp_path / "state" / "probes").iterdir())) == len(ROOM.takes) - 1


def test_a_run_after_the_change_uses_nothing_of_the_version_before(tmp_path: Path) -> None:
    job_file = lay_out(tmp_path / "room", ben="grown-1.2-")
    assert "-" in shown(compose(job_file, tasks=with_changes), 1)
    report = compose(job_file)
    assert (report["warnings"], shown(report, 1)) == ([], "P" * 30)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    TINY.write(tmp_path, "job", record_once)
    (path,) = tmp_path.glob("room/*anna*")
    return path


@EVERY
@pytest.mark.parametrize("is_fetched", [False, True], ids=["own", "fetched"])
def test_every_reader_notices(recording: Path, how: str, is_fetched: bool) -> None:
    size = recording.stat().st_size if is_fetched else 0
    copy = LocalCopy(recording, size, size, "etag" if is_fetched else file_version(recording))
    if is_fetched:
        mark_fetched(recording)
    file = SourceFile("a", copy, probe(recording))
    sources = FileSources([file])
    assert file.probe
    assert file.probe.video

    def open_video() -> Any:
        return sources.open_video(0, None, SampleTimes(10, Fraction(0)), lambda: None)

    def open_audio() -> Any:
        assert file.probe
        return sources.open_audio(0, file.probe.sounds[0], Fraction(0))

    video, audio = open_video(), open_audio()
    assert video.frame_at(file.probe.video.span.start)
    audio.read(0, 100)
    CHANGES[how](recording)
    with pytest.raises(ChangedError):
        video.frame_at(file.probe.video.span.start)
    with pytest.raises(ChangedError):
        audio.read(100, 100)
    gone = (ChangedError, DestinationError)  # a copy that is gone is the work folder's fault
    with pytest.raises(gone):
        open_video().frame_at(Fraction(0))
    with pytest.raises(gone):
        open_audio()
    video.close()
    audio.close()


def test_a_fetched_file_without_its_mark_is_not_the_one_that_was_fetched(recording: Path) -> None:
    size = recording.stat().st_size
    sources = FileSources([SourceFile("a", LocalCopy(recording, size, size, "etag"), probe(recording))])
    with pytest.raises(ChangedError):
        sources.open_video(0, None, SampleTimes(10, Fraction(0)), lambda: None)
