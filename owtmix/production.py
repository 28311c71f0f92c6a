"""From a plan to the finished file, in child processes.

A source that kills one is found by decoding the suspects alone, and left out from there on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Final, TypeVar

from owtmix.clip import Seen
from owtmix.errors import RenderError
from owtmix.execute.local import Crew, Outcome
from owtmix.execute.task import Limits, Task
from owtmix.plan import RenderPlan
from owtmix.progress import Progress
from owtmix.settings import Settings
from owtmix.tasks import FinishTask, PictureTask, SoundTask, Studio, SuspectTask
from owtmix.timing import timecode

SUSPECT_S: Final = 60
"""Suspects are decoded so far beyond the last news of the child that died; it cannot have come further."""
SLOWEST_DISK_BYTES_PER_S: Final = 2 << 20
"""What takes longer to move than this is no longer moved."""

TrackTask = PictureTask | SoundTask
TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True, slots=True)
class Product:
    """What was made: the plan as it was carried out in the end, and what its sources turned out to be."""

    plan: RenderPlan
    seen: Mapping[int, Seen]


@dataclass(frozen=True, slots=True)
class Production:
    """The making of a plan's output in a work folder. ``warn`` is told what a user should know."""

    studio: Studio
    crew: Crew
    warn: Callable[[str], None]

    def make(self, output: Path, work: Path, progress: Progress) -> Product:
        """Write the finished file to ``output``; its tracks are made in the folder ``work``.

        Raises:
            InputError: a source fails, and the studio is strict.
            RenderError: composing, mixing or encoding failed, or the file is not as planned.
            DestinationError: the disk takes no more.
        """
        plan = self.studio.plan
        progress.stage("composing", plan.duration_s)
        tasks = list(self._tracks(work))
        leader = tasks[-1]

        def advance(task: TrackTask, done_s: float) -> None:
            if type(task) is type(leader):
                progress.advance(Fraction(done_s))

        seen: dict[int, Seen] = {}
        restarted: set[str] = set()
        waiting: list[TrackTask] = tasks
        while waiting:
            dead = []
            for outcome in self.crew.run(waiting, advance):
                if outcome.error:
                    raise outcome.error
                if outcome.death:
                    dead.append(outcome)
                else:
                    plan = _carried_out(plan, outcome.task)
                    seen |= outcome.value or {}
            waiting = [self._again(outcome, restarted) for outcome in dead]
        progress.stage("finishing", None)
        self._finish(FinishTask(plan, [task.track for task in reversed(tasks)], output), restarted)
        return Product(plan, seen)

    def _tracks(self, work: Path) -> Iterator[TrackTask]:
        plan = self.studio.plan
        if plan.sound:
            yield SoundTask(self.studio, work / "sound.mp4")
        if plan.picture:
            yield PictureTask(self.studio, range(plan.picture.frames), work / "picture.mp4")

    def _finish(self, task: FinishTask, restarted: set[str]) -> None:
        # Moving a large file takes long, without news; the tracks are our own, and nothing in them can hang.
        grace_s = sum(track.stat().st_size for track in task.tracks) / SLOWEST_DISK_BYTES_PER_S
        (outcome,) = self.crew.run([task], grace_s=grace_s)
        if outcome.death:
            self._restart(outcome, restarted)
            (outcome,) = self.crew.run([task], grace_s=grace_s)
        succeed(outcome)

    def _again(self, outcome: Outcome[TrackTask], restarted: set[str]) -> TrackTask:
        """A task whose child died, without the sources that did it from where they did it."""
        culprits = [found for found in self.crew.run(list(_suspects(outcome)), alone=True) if found.death]
        if not culprits:
            self._restart(outcome, restarted)
            return outcome.task
        studio = outcome.task.studio
        plan, is_sound = studio.plan, isinstance(outcome.task, SoundTask)
        for culprit in culprits:
            at = Fraction(culprit.done_s).limit_denominator(1_000_000)
            studio.complain(
                f"decoding {culprit.task.name} {culprit.death} at {timecode(at)}: "
                f"{'silence' if is_sound else 'a placeholder'} from there on",
                self.warn,
            )
            plan = plan.without(culprit.task.source, at, sound=is_sound)
        return replace(outcome.task, studio=replace(studio, plan=plan))

    def _restart(self, outcome: Outcome[TaskT], restarted: set[str]) -> None:
        """Note that a child died for no reason to be found, which is forgiven once."""
        name = outcome.task.name
        if name in restarted:
            raise RenderError(f"{name} cannot be made: its process {outcome.death}, and no recording is to blame")
        restarted.add(name)
        self.warn(f"the process that makes {name} {outcome.death}; no recording is to blame, and it is made once more")


def engage(settings: Settings, warn: Callable[[str], None]) -> Crew:
    """A crew for this machine; with two children at least, since picture and sound are made beside each other."""
    limits = Limits(settings.worker_memory_mib << 20, settings.worker_silence_s)
    return Crew(max(2, os.cpu_count() or 1), limits, warn)


def succeed(outcome: Outcome[TaskT]) -> Outcome[TaskT]:
    """The outcome, unless the task failed.

    Raises:
        MixError: what the task raised, or that its child died.
    """
    if outcome.error:
        raise outcome.error
    if outcome.death:
        raise RenderError(f"{outcome.task.name} cannot be made: its process {outcome.death}")
    return outcome


def _carried_out(plan: RenderPlan, task: TrackTask) -> RenderPlan:
    """``plan`` with the part that ``task`` has made, which may be less than was planned."""
    if isinstance(task, SoundTask):
        return replace(plan, sound=task.studio.plan.sound)
    return replace(plan, picture=task.studio.plan.picture)


def _suspects(dead: Outcome[TrackTask]) -> Iterator[SuspectTask]:
    """Each source that a track's task may have been decoding when its child died."""
    studio, plan = dead.task.studio, dead.task.studio.plan
    if isinstance(dead.task, SoundTask):
        assert plan.sound
        until = Fraction(dead.done_s) + SUSPECT_S
        for source in sorted({p.source for p in plan.sound.placements if p.span.start < until}):
            yield SuspectTask(studio, source, None, until)
        return
    assert plan.picture
    clock, frames = plan.picture.clock, dead.task.frames
    start = clock.time(frames.start)
    until = start + Fraction(dead.done_s) + SUSPECT_S
    frames = range(frames.start, min(frames.stop, floor(until * clock.fps)))
    shots = (shot for shots in plan.picture.shots.values() for shot in shots)
    shown = {s.source for s in shots if s.source is not None and s.span.start < until and start < s.span.end}
    for source in sorted(shown):
        yield SuspectTask(studio, source, frames, until)
