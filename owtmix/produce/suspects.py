"""Finds the sources that killed a worker: each suspect is decoded alone, in a worker of its own."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Final

from owtmix.produce.failures import Culprit, proven_crashes, unproven_crashes
from owtmix.produce.tasks import AudioTask, SuspectTask, TrackTask
from owtmix.workers.base import Executor, Outcome

SUSPECT_S: Final = 60
"""Suspects are decoded this far beyond the last report of the worker that died. It died within that range."""


def suspect_tasks(dead: Outcome[TrackTask]) -> Iterator[SuspectTask]:
    """A task for each source that a track's task may have been decoding when its worker died."""
    setup, plan = dead.task.setup, dead.task.setup.plan
    if isinstance(dead.task, AudioTask):
        assert plan.sound
        until = Fraction(dead.done_s) + SUSPECT_S
        for source in sorted({p.source for p in plan.sound.placements if p.span.start < until}):
            yield SuspectTask(setup, source, None, until)
        return
    assert plan.picture
    clock, frames = plan.picture.clock, dead.task.frames
    start = clock.time(frames.start)
    until = start + Fraction(dead.done_s) + SUSPECT_S
    frames = range(frames.start, min(frames.stop, floor(until * clock.fps)))
    shots = (shot for shots in plan.picture.shots.values() for shot in shots)
    shown = {s.source for s in shots if s.source is not None and s.span.start < until and start < s.span.end}
    for source in sorted(shown):
        yield SuspectTask(setup, source, frames, until)


def find_culprits(executor: Executor, dead: Outcome[TrackTask]) -> tuple[Culprit, ...]:
    """Decode the suspected sources alone; returns the sources that kill their workers."""
    trials = list(executor.run(list(suspect_tasks(dead)), alone=True))
    again = [trial.task for trial in unproven_crashes(trials)]
    crashed = proven_crashes(trials) + [trial for trial in executor.run(again, alone=True) if trial.death]
    return tuple(_culprit(trial) for trial in crashed)


def _culprit(trial: Outcome[SuspectTask]) -> Culprit:
    assert trial.death
    at_s = Fraction(trial.done_s).limit_denominator(1_000_000)
    return Culprit(trial.task.source, trial.task.name, at_s, trial.death)
