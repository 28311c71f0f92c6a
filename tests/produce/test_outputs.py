"""The outputs of a production: any number of them, made one after the other from the same tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest

from owtmix.base.errors import RenderError
from owtmix.base.geometry import Size
from owtmix.inputs.prefetch import SourceSet
from owtmix.jobfile.index import Recording
from owtmix.jobfile.settings import PlanSettings, VideoSettings
from owtmix.jobfile.spec import VideoSpec
from owtmix.media.probe import probe
from owtmix.plan.build import make_plan
from owtmix.plan.media_info import Clip
from owtmix.produce.chunk_cache import ChunkCache
from owtmix.produce.chunk_key import InputVersions
from owtmix.produce.production import Production
from owtmix.produce.tasks import RenderSetup
from owtmix.produce.workspace import WarningSink, Workspace
from owtmix.render.video_track import MAKER_CACHE
from owtmix.workers.base import Executor, Task
from tests.support import people
from tests.support.command import record_once
from tests.support.executor import InProcessExecutor
from tests.support.output import RecordingOutput
from tests.support.people import Take
from tests.support.plans import ANNA, JOB, index_of
from tests.support.progress import RecordingProgress
from tests.support.sources import source_files
from tests.support.store import UNLIMITED, FakeStore

TWO_CHUNKS: Final = PlanSettings(VideoSettings(chunk_s=Fraction(2)))
TAKE: Final = Take("anna_1", 0, 4000, people.COLOURS[0], 440, (500,), size=(64, 48), fps=5, container="webm")


class Warnings:
    """A ``WarningSink`` that is told nothing."""

    def warn_damaged(self, message: str) -> None:
        pytest.fail(message)

    warn_lost = warn_restarted = warn_damaged


class Told:
    """A ``WarningSink`` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warn_damaged(self, message: str) -> None:
        self.told.append(message)

    warn_lost = warn_restarted = warn_damaged


def production(
    folder: Path, done: list[Task], warnings: WarningSink | None = None, executor: Executor | None = None
) -> Production:
    """Four seconds of one recording, to be made in this process; ``done`` will be its tasks."""
    file = folder / "anna.webm"
    record_once(TAKE, file)
    found = probe(file)
    clips = [Clip(Recording(ANNA, file.name, Fraction(0), None), 0, found.video, found.sounds, found.start_s)]
    job = replace(JOB, video=VideoSpec(Size(64, 48), 5, 100, "high"))
    plan = make_plan(job, index_of(clips), clips, TWO_CHUNKS)
    files = source_files(plan, [file])
    executor = executor or InProcessExecutor(pytest.fail, done)
    workspace = Workspace(executor, 1, 1, ChunkCache(folder / "chunks"), folder)
    sources = SourceSet(FakeStore({}), files, UNLIMITED)
    return Production(
        RenderSetup(plan, files, {}), sources, InputVersions(["1"], {}), workspace, warnings or Warnings()
    )


def kinds(tasks: list[Task]) -> Counter[str]:
    return Counter(type(task).__name__ for task in tasks)


@pytest.fixture(autouse=True)
def closed_sources() -> Iterator[None]:
    """Chunks are made in this process, which keeps their sources open."""
    yield
    MAKER_CACHE.clear()


def test_several_outputs_are_made_of_the_same_tracks(tmp_path: Path) -> None:
    done: list[Task] = []
    outputs = [RecordingOutput(tmp_path / name) for name in ("first", "second")]
    progress = RecordingProgress()
    result = production(tmp_path, done).make(outputs, progress)
    assert kinds(done) == {"AudioTask": 1, "ChunkTask": 2, "MuxTask": 2}
    (plan, tracks), *more = [made for output in outputs for made in output.written]
    assert more == [(plan, tracks)]
    assert [output.verified for output in outputs] == [[plan], [plan]]
    assert plan == result.plan
    assert len(tracks.chunks) == result.chunks == 2
    assert tracks.sound
    assert all(path.stat().st_size for path in (*tracks.chunks, tracks.sound))
    assert progress.stages == ["composing", "finishing"]
    assert progress.reports[-2] == plan.duration_s == 4


def test_another_output_needs_no_new_track(tmp_path: Path) -> None:
    first, second = RecordingOutput(tmp_path / "first"), RecordingOutput(tmp_path / "second")
    production(tmp_path, []).make([first], RecordingProgress())
    done: list[Task] = []
    progress = RecordingProgress()
    result = production(tmp_path, done).make([second], progress)
    assert kinds(done) == {"MuxTask": 1}
    assert second.written == first.written
    assert (result.chunks, result.reused) == (2, 2)
    assert progress.reports == [("composing", 4, "s", 4), ("finishing", None, "s", 0)]


def test_an_output_that_is_damaged_fails_the_job_before_the_next_one(tmp_path: Path) -> None:
    first, third = RecordingOutput(tmp_path / "first"), RecordingOutput(tmp_path / "third")
    damaged = RecordingOutput(tmp_path / "second", "the second output", damaged=True)
    warnings = Told()
    with pytest.raises(RenderError, match="the second output is damaged"):
        production(tmp_path, [], warnings).make([first, damaged, third], RecordingProgress())
    assert first.verified
    assert len(damaged.written) == 3, "by a new process, and of tracks that are made anew"
    assert ["made once more" in warning for warning in warnings.told] == [True] * 2
    assert not third.written
