"""Whose fault it may be that a child died: the sources to be decoded alone, each in a child of its own."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Final

from owtmix.produce.tasks import AudioTask, ChunkTask, SuspectTask
from owtmix.workers.base import Outcome

SUSPECT_S: Final = 60
"""Suspects are decoded so far beyond the last news of the child that died; it cannot have come further."""


def suspect_tasks(dead: Outcome[ChunkTask | AudioTask]) -> Iterator[SuspectTask]:
    """Each source that a track's task may have been decoding when its child died."""
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
