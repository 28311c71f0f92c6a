"""Carries out a plan: an executor makes the tracks, and no finished track is made twice."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from owtmix.base.errors import RenderError, ShortageError
from owtmix.base.own_files import remove
from owtmix.base.progress import Progress
from owtmix.inputs.disk_budget import format_gib
from owtmix.inputs.prefetch import Prefetcher, SourceSet
from owtmix.outputs.base import FinishedTracks, Output
from owtmix.plan.media_info import Damage, DecodeStats
from owtmix.plan.model import RenderPlan
from owtmix.plan.source_usage import longest_piece_s, source_usage
from owtmix.produce.changed_sources import key_of_rest, remove_changed
from owtmix.produce.chunk_key import InputVersions, audio_key, chunk_key
from owtmix.produce.effort import Effort
from owtmix.produce.endings import ending_of
from owtmix.produce.finishing import write_output
from owtmix.produce.made_tracks import MadeTracks
from owtmix.produce.progress import CompositionProgress
from owtmix.produce.recovery import Failed, Recovery
from owtmix.produce.schedule import Schedule
from owtmix.produce.spare_places import SparePlaces
from owtmix.produce.tasks import AudioTask, ChunkTask, MuxTask, RenderSetup, TrackTask
from owtmix.produce.workspace import WarningSink, Workspace
from owtmix.render.results import joined
from owtmix.storage import disk_error
from owtmix.workers.base import TaskQueue

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProductionResult:
    """The plan as it was carried out, and findings about its sources, by source number.

    ``video_stats`` describes their pictures, ``audio_damage`` their sound. ``lost`` has the reasons of
    failed downloads. Of ``chunks`` chunks, ``reused`` were made by an earlier run. ``devices`` composed them.
    """

    plan: RenderPlan
    video_stats: Mapping[int, DecodeStats]
    audio_damage: Mapping[int, Damage]
    lost: Mapping[int, str]
    chunks: int
    reused: int
    devices: Sequence[str]


class Production:
    """Carries out a plan.

    Args:
        setup: the plan and its files.
        sources: the same files, with the store that they come from.
        versions: the versions of the inputs and of the code.
        workspace: workers and folders.
        warnings: receives the warnings for the user.
    """

    def __init__(
        self,
        setup: RenderSetup,
        sources: SourceSet,
        versions: InputVersions,
        workspace: Workspace,
        warnings: WarningSink,
    ) -> None:
        self._sources = sources
        self._versions = versions
        self._workspace = workspace
        self._warnings = warnings
        self._tasks: dict[str, TrackTask] = {}
        self._made = MadeTracks(workspace.cache, warnings)
        self._effort = Effort(workspace.workers, workspace.threads)
        self._recovery = Recovery(setup, versions, workspace, self._effort, warnings)
        self._is_remade = False

    def make(self, outputs: Sequence[Output], progress: Progress) -> ProductionResult:
        """Write the finished outputs.

        Raises:
            InputError: a source fails, and the setup is strict; or none can be fetched.
            StoreError: the store cannot be used any more.
            RenderError: composing, mixing or encoding failed, or an output is not as planned.
            DestinationError: the disk takes no more.
        """
        self._resume()
        finished = [task for key, task in self._tasks.items() if key in self._made]
        composed = CompositionProgress(self._setup.plan, progress, finished)
        self._make_missing(composed)
        progress.stage("finishing", None)
        for output in outputs:
            self._write(output, composed)
        chunks = self._chunk_keys()
        video_stats, audio_damage = joined(self._made.results(self._tasks))
        return ProductionResult(
            plan=self._setup.plan,
            video_stats=video_stats,
            audio_damage=audio_damage,
            lost=self._recovery.lost,
            chunks=len(chunks),
            reused=self._made.count_reused(chunks),
            devices=sorted({result.device for result in self._made.results(chunks)}),
        )

    def _write(self, output: Output, composed: CompositionProgress) -> None:
        """Write one output. When its tracks are no good, they are forgotten, and once made anew.

        A worker that a recording has taken over may have made them of anything.
        """
        while True:
            task = MuxTask(self._setup.plan, self._finished(), output)
            try:
                return write_output(self._workspace.executor, task, self._effort, self._warnings)
            except ShortageError:
                raise
            except RenderError as error:
                self._made.forget(self._tasks)
                if self._is_remade:
                    raise
                self._is_remade = True
                self._warnings.warn_restarted(f"all that {output.name} consists of is made once more: {error}")
            self._make_missing(composed)

    def _make_missing(self, composed: CompositionProgress) -> None:
        while missing := [task for key, task in self._tasks.items() if key not in self._made]:
            self._make_tracks(missing, composed)

    def _finished(self) -> FinishedTracks:
        sounds = [self._made.path(key) for key, task in self._tasks.items() if isinstance(task, AudioTask)]
        return FinishedTracks(tuple(map(self._made.path, self._chunk_keys())), next(iter(sounds), None))

    @property
    def _setup(self) -> RenderSetup:
        """As failures have left it."""
        return self._recovery.setup

    @property
    def _spare(self) -> SparePlaces | None:
        """Further workers compose only on the CPU, and only while the machine is short of nothing."""
        is_possible = self._setup.device.gpu is None and not self._effort.shortages
        return self._workspace.spare if is_possible else None

    def _resume(self) -> None:
        """Take over the finished tracks of earlier runs, and the losses that they recorded."""
        self._recovery.leave_out_known()
        self._tasks = self._plan_tasks()
        self._made.take_over(self._tasks)
        chunks = self._chunk_keys()
        if reused := self._made.count_reused(chunks):
            _log.info("%d of %d chunks were composed by an earlier run", reused, len(chunks))

    def _chunk_keys(self) -> list[str]:
        return [key for key, task in self._tasks.items() if isinstance(task, ChunkTask)]

    def _plan_tasks(self) -> dict[str, TrackTask]:
        """All tracks by their keys: first the sound, which takes longest, then every chunk."""
        plan, folder = self._setup.plan, self._workspace.tracks
        tasks: dict[str, TrackTask] = {}
        if plan.sound:
            key = audio_key(plan, self._versions)
            tasks[key] = AudioTask(self._setup, folder / key)
        for frames in plan.picture.chunks if plan.picture else ():
            key = chunk_key(plan, frames, self._versions)
            tasks[key] = ChunkTask(self._setup, frames, folder / key, self._effort.threads)
        return tasks

    def _make_tracks(self, tasks: Sequence[TrackTask], composed: CompositionProgress) -> None:
        """Do ``tasks``. After a failure no task is started, and the plan changes when the running tasks have ended."""
        failed: list[Failed] = []
        with self._prefetch(tasks) as prefetcher:
            benches = self._workspace.benches
            away = benches.count if benches else 0
            schedule = Schedule(tasks, self._effort.workers, prefetcher, self._current, self._spare, away)
            most = self._effort.most_with(waiting=prefetcher.needs_release)
            queue: TaskQueue[TrackTask] = schedule

            def advance(task: TrackTask, done_s: float) -> None:
                composed.advance(task, done_s)
                schedule.advance(task, done_s)

            watch = partial(self._check, prefetcher)
            shift = benches.serve(schedule, advance) if benches else None
            # A worker that was taken over, by a recording that it measured or composed, does no more.
            run = partial(self._workspace.executor.run, renewed=True)
            for outcome in run(queue, advance, most=most, watch=watch, away=shift):
                self._check(prefetcher)
                schedule.finish(outcome.task)
                ending = ending_of(outcome)
                if ending.shortage or ending.error or ending.death or ending.stops:
                    self._recovery.raise_if_fatal(ending)
                    failed.append((outcome, ending))
                else:
                    self._made.keep(outcome, self._current_key(outcome.task))
                    composed.finish(outcome.task)
                if failed:
                    schedule.stop()
        if failed:
            self._recover(failed, composed)

    def _recover(self, failed: Sequence[Failed], composed: CompositionProgress) -> None:
        """Change the plan by what has failed; tracks that are as it is now are kept."""
        self._recovery.recover(failed, composed)
        self._tasks = self._plan_tasks()
        for outcome, ending in failed:
            remove_changed(ending, self._setup.files)
            if key := key_of_rest(outcome.task, ending, self._setup.plan, self._versions):
                self._made.keep(outcome, key)
                composed.finish(outcome.task)
            else:
                _remove_rest(outcome.task.track)

    def _prefetch(self, tasks: Sequence[TrackTask]) -> Prefetcher:
        """Start to fetch the missing sources of ``tasks``."""
        plan = self._setup.plan
        chunks = [task.frames for task in tasks if isinstance(task, ChunkTask)]
        uses = source_usage(plan, chunks, sound=len(chunks) < len(tasks))
        prefetcher = self._sources.prefetch(uses, longest_piece_s(plan))
        if missing := prefetcher.missing_bytes:
            _log.info("%s have yet to be fetched; they come while the output is composed", format_gib(missing))
        return prefetcher

    def _check(self, prefetcher: Prefetcher) -> int:
        """Leave out sources that cannot be fetched, from their beginning: no task has started to use them.

        Returns the bytes that are missing, which change while files arrive.
        """
        prefetcher.check()
        if self._recovery.leave_out_lost(prefetcher.failed()):
            self._tasks = self._plan_tasks()
        return prefetcher.missing_bytes

    def _current(self, task: TrackTask) -> TrackTask:
        """The same task under the current plan."""
        if task.setup is self._setup:
            return task
        return next(now for now in self._tasks.values() if now.frames == task.frames)

    def _current_key(self, task: TrackTask) -> str:
        """The key of a track that was made: sources that could not be fetched meanwhile are silent in the sound."""
        return audio_key(self._setup.plan, self._versions) if isinstance(task, AudioTask) else task.track.name


def _remove_rest(track: Path) -> None:
    """Remove what a failed task has left, which may be anything.

    Raises:
        DestinationError: the disk fails.
    """
    try:
        remove(track)
    except OSError as error:
        raise disk_error(track, error) from None
