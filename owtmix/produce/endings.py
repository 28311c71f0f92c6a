"""Converts outcomes of track tasks to endings, the input of ``failures.py``."""

from __future__ import annotations

from owtmix.produce.failures import DecodeStop, Ending
from owtmix.produce.tasks import ChunkTask, TrackTask
from owtmix.workers.alone import shortage_of
from owtmix.workers.base import Outcome


def ending_of(outcome: Outcome[TrackTask]) -> Ending:
    """The ending of a task."""
    task, setup = outcome.task, outcome.task.setup
    failures = outcome.value.failures if outcome.value else {}
    stops = tuple(
        DecodeStop(source, setup.plan.sources[source].key, failure.at_s, failure.reason, failure.is_change)
        for source, failure in failures.items()
    )
    return Ending(
        name=task.name,
        track="picture" if isinstance(task, ChunkTask) else "sound",
        device=setup.device,
        on_gpu_encoder=setup.can_reencode,
        error=outcome.error,
        death=outcome.death,
        stops=stops,
        shortage=shortage_of(outcome),
    )
