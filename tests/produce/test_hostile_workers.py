"""Workers that a recording has taken over: what they reply and leave behind spoils no later run, and ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.errors import DestinationError, MixError, RenderError
from owtmix.outputs.mp4 import Mp4Output
from owtmix.produce.recovery import MOST_LOSSES
from owtmix.produce.tasks import AudioTask, ChunkTask, MuxTask
from owtmix.render.results import DecodeFailure, RenderResult
from owtmix.render.video_track import MAKER_CACHE
from owtmix.workers.base import Outcome
from tests.produce.test_outputs import Told, production
from tests.support.executor import InProcessExecutor
from tests.support.progress import RecordingProgress

ALWAYS: Final = 1000


@dataclass
class TakenOver(InProcessExecutor):
    """The first ``times`` chunks are made by a process that does ``evil`` to them. ``runs`` are the options of runs."""

    evil: Callable[[ChunkTask], Any]
    times: int = ALWAYS
    chunks: int = 0
    runs: list[tuple[type, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def run(self, tasks: Any, *arguments: Any, **options: Any) -> Iterator[Outcome[Any]]:
        for outcome in super().run(tasks, *arguments, **options):
            self.runs.append((type(outcome.task), options))
            yield outcome

    def _do(self, task: Any, on_progress: Any) -> Outcome[Any]:
        outcome = super()._do(task, on_progress)
        if not isinstance(task, ChunkTask):
            return outcome
        self.chunks += 1
        if self.chunks > self.times:
            return outcome
        evil = self.evil(task)
        if isinstance(evil, RenderResult):
            return super()._checked(replace(outcome, value=evil))
        return replace(outcome, value=None, error=evil) if isinstance(evil, MixError) else outcome


@pytest.fixture(autouse=True)
def closed_sources() -> Iterator[None]:
    yield
    MAKER_CACHE.clear()


def make(folder: Path, executor: InProcessExecutor | None = None) -> tuple[list[str], int]:
    """Make an MP4; returns the warnings, and how many chunks were made by an earlier run."""
    warnings = Told()
    (folder / "a.mp4").touch()
    made = production(folder, [], warnings, executor).make([Mp4Output(folder / "a.mp4")], RecordingProgress())
    return warnings.told, made.reused


@pytest.fixture
def undisturbed(tmp_path: Path) -> bytes:
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    assert make(folder) == ([], 0)
    return (folder / "a.mp4").read_bytes()


def write_garbage(task: ChunkTask) -> None:
    task.track.write_bytes(b"x" * 100_000)


def test_tracks_of_garbage_are_made_once_more(tmp_path: Path, undisturbed: bytes) -> None:
    executor = TakenOver(write_garbage, times=2)
    warnings, _ = make(tmp_path, executor)
    assert (tmp_path / "a.mp4").read_bytes() == undisturbed
    assert ["made once more" in warning for warning in warnings] == [True, True]
    muxed = [options for kind, options in executor.runs if kind is MuxTask]
    assert all(options["alone"] for options in muxed), "nobody who has read a recording writes the output"
    assert len(muxed) == 3
    made = [options["renewed"] for kind, options in executor.runs if kind in {ChunkTask, AudioTask}]
    assert made == [True] * 6, "nobody who has read a recording before makes tracks"


def test_tracks_of_garbage_are_no_longer_there_for_the_next_run(tmp_path: Path, undisturbed: bytes) -> None:
    with pytest.raises(RenderError):
        make(tmp_path, TakenOver(write_garbage))
    assert make(tmp_path) == ([], 0)
    assert (tmp_path / "a.mp4").read_bytes() == undisturbed


@pytest.mark.parametrize("error", [DestinationError("the disk is full"), RenderError("no")], ids=str)
def test_an_error_is_believed_when_a_new_process_says_it_again(
    tmp_path: Path, undisturbed: bytes, error: MixError
) -> None:
    executor = TakenOver(lambda _: error, times=1)
    (warning,), _ = make(tmp_path, executor)
    assert "made once more, by a new process" in warning
    assert (tmp_path / "a.mp4").read_bytes() == undisturbed
    (tmp_path / "again").mkdir()
    with pytest.raises(type(error)):
        make(tmp_path / "again", TakenOver(lambda _: error))


def failing(at_s: Callable[[ChunkTask, int], Any], source: int = 0) -> Callable[[ChunkTask], RenderResult]:
    """A process that says that a source fails; ``at_s`` gives the time for the task and how often it said so."""
    count = iter(range(ALWAYS))

    def say(task: ChunkTask) -> RenderResult:
        return RenderResult(failures={source: DecodeFailure(at_s(task, next(count)), "it does not decode")})

    return say


def start_of(task: ChunkTask) -> Any:
    assert task.setup.plan.picture
    return task.setup.plan.picture.clock.time(task.frames.start)


def end_of(task: ChunkTask) -> Any:
    assert task.setup.plan.picture
    return task.setup.plan.picture.clock.time(task.frames.stop)


@pytest.mark.parametrize(
    "evil",
    [
        failing(lambda task, _: end_of(task)),
        failing(lambda _task, _: 10**300),
        failing(lambda _task, _: -1),
        failing(lambda task, _: start_of(task), source=99),
        failing(lambda task, _: start_of(task), source=-1),
        lambda _: RenderResult(device="\x1b[2J"),
        lambda _: RenderResult(gpu_failure="it melts"),
    ],
    ids=["nothing changes", "far away", "before", "no source", "below", "device", "a GPU"],
)
def test_nonsense_is_repeated_once(tmp_path: Path, evil: Callable[[ChunkTask], RenderResult]) -> None:
    executor = TakenOver(evil)
    with pytest.raises(RenderError, match="cannot be made: its process"):
        make(tmp_path, executor)
    assert executor.chunks <= 4
    assert make(tmp_path)[0] == []


def test_a_source_that_fails_ever_earlier_is_left_out_in_the_end(tmp_path: Path) -> None:
    executor = TakenOver(failing(lambda task, count: start_of(task) + (end_of(task) - start_of(task)) / (count + 2)))
    with pytest.raises(RenderError, match="cannot be made: its process"):
        make(tmp_path, executor)
    assert executor.chunks <= 2 * MOST_LOSSES + 4


def a_folder(track: Path) -> None:
    track.unlink()
    track.mkdir()


def a_link(track: Path) -> None:
    track.unlink()
    track.symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        a_folder,
        a_link,
        lambda track: os.link(track, track.with_name("again")),
        lambda track: os.truncate(track, 0),
        lambda track: os.truncate(track, 1 << 42),
    ],
    ids=["gone", "a folder", "a link", "two names", "empty", "four terabytes"],
)
def test_something_else_than_a_track_is_the_fault_of_its_task(
    tmp_path: Path, undisturbed: bytes, change: Callable[[Path], object]
) -> None:
    """And is neither hashed nor kept."""

    def evil(task: ChunkTask) -> RenderResult:
        change(task.track)
        return RenderResult()

    executor = TakenOver(evil, times=1)
    (warning,), _ = make(tmp_path, executor)
    assert "sends a result that cannot be: it comes with" in warning
    assert (tmp_path / "a.mp4").read_bytes() == undisturbed
