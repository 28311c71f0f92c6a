"""The progress of composing, summed over tasks."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from owtmix.base.progress import Progress
from owtmix.plan.model import RenderPlan
from owtmix.produce.tasks import AudioTask, ChunkTask, TrackTask


class CompositionProgress:
    """Seconds of the picture that are composed, or of the sound in a job without picture.

    The ``finished`` tasks were done by an earlier run and count from the start.
    """

    def __init__(self, plan: RenderPlan, progress: Progress, finished: Iterable[TrackTask]) -> None:
        self._is_measured = ChunkTask if plan.picture else AudioTask
        self._progress = progress
        self._done: dict[Path, Fraction] = {}
        for task in finished:
            self._set(task, task.length_s)
        progress.stage("composing", plan.duration_s, done=sum(self._done.values(), Fraction(0)))

    def advance(self, task: TrackTask, done_s: float) -> None:
        self._set(task, Fraction(done_s))
        self._progress.advance(sum(self._done.values(), Fraction(0)))

    def restart(self) -> None:
        """Reset the progress of the picture: it is encoded again from the start."""
        if self._is_measured is ChunkTask:
            self._done.clear()

    def finish(self, task: TrackTask) -> None:
        self._set(task, task.length_s)

    def _set(self, task: TrackTask, done_s: Fraction) -> None:
        if isinstance(task, self._is_measured):
            self._done[task.track] = min(max(Fraction(0), done_s), task.length_s)
