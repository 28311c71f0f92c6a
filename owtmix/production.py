"""From a plan to the finished file, in child processes.

A source that kills one is found by decoding the suspects alone, and left out from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from owtmix.errors import RenderError
from owtmix.execute.local import Crew, Outcome
from owtmix.execute.task import Task
from owtmix.plan import RenderPlan
from owtmix.progress import Progress
from owtmix.tasks import FinishTask, PictureTask, SoundTask, Studio, SuspectTask
from owtmix.timing import timecode

TrackTask = PictureTask | SoundTask
TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True, slots=True)
class Production:
    """The making of a plan's output in a work folder. ``warn`` is told what a user should know."""

    studio: Studio
    crew: Crew
    warn: Callable[[str], None]

    def make(self, output: Path, work: Path, progress: Progress) -> None:
        """Write the finished file to ``output``; its tracks are made in the folder ``work``.

        Raises:
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

        waiting: list[TrackTask] = tasks
        while waiting:
            dead = [outcome for outcome in self.crew.run(waiting, advance) if self._is_dead(outcome)]
            waiting = self._without_culprits(dead)
        progress.stage("finishing", None)
        tracks = [task.track for task in reversed(tasks)]
        for outcome in self.crew.run([FinishTask(plan, tracks, output)]):
            succeed(outcome)

    def _tracks(self, work: Path) -> Iterator[TrackTask]:
        plan = self.studio.plan
        if plan.sound:
            yield SoundTask(self.studio, work / "sound.mp4")
        if plan.picture:
            yield PictureTask(self.studio, range(plan.picture.frames), work / "picture.mp4")

    @staticmethod
    def _is_dead(outcome: Outcome[TrackTask]) -> bool:
        if outcome.error:
            raise outcome.error
        return outcome.death is not None

    def _without_culprits(self, dead: Sequence[Outcome[TrackTask]]) -> list[TrackTask]:
        """The tasks whose children died, again, without the sources that did it from where they did it."""
        again: list[TrackTask] = []
        for outcome in dead:
            plan, frames = outcome.task.studio.plan, getattr(outcome.task, "frames", None)
            suspects = [SuspectTask(outcome.task.studio, source, frames) for source in _suspects(plan, frames)]
            culprits = [found for found in self.crew.run(suspects) if found.death]
            if not culprits:
                raise RenderError(f"{outcome.task.name} cannot be made: its process {outcome.death}")
            for culprit in culprits:
                at = Fraction(culprit.done_s).limit_denominator(1000)
                self.warn(
                    f"{culprit.task.name} {culprit.death} at {timecode(at)}: "
                    f"{'silence' if frames is None else 'a placeholder'} from there on"
                )
                plan = plan.without(culprit.task.source, at, sound=frames is None)
            again.append(replace(outcome.task, studio=replace(outcome.task.studio, plan=plan)))
        return again


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


def _suspects(plan: RenderPlan, frames: range | None) -> list[int]:
    """The sources that a track's task decodes."""
    if frames is None:
        return sorted({placement.source for placement in plan.sound.placements}) if plan.sound else []
    assert plan.picture
    start, end = plan.picture.clock.time(frames.start), plan.picture.clock.time(frames.stop)
    shots = (shot for shots in plan.picture.shots.values() for shot in shots)
    return sorted(
        {shot.source for shot in shots if shot.source is not None and shot.span.start < end and start < shot.span.end}
    )
