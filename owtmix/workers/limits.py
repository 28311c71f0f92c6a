"""The number of workers for this machine, and a pool with the limits of the settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from owtmix.base.errors import RenderError
from owtmix.workers.base import Limits, Outcome, TaskT
from owtmix.workers.local import WorkerPool
from owtmix.workers.worker_process import ForkServer

if TYPE_CHECKING:  # workers, too, load this module
    from owtmix.jobfile.settings import Settings

MOST_KBPS: Final = 400_000
"""No track and no output has more, in kbit/s: a job file may ask for half of it."""
_CGROUP_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def available_cores(quota: Path = _CGROUP_QUOTA) -> int:
    """The number of processors this process may use: its affinity, and at most its container's quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return max(1, min(available, ceil(int(allowed) / int(period))))
    except (OSError, ValueError):  # there is no quota file, or it says "max"
        return available


def start_workers(
    settings: Settings, warn: Callable[[str], None], workers: int | None = None, server: ForkServer | None = None
) -> WorkerPool:
    """A pool of ``workers``, by default one for each processor; at least two, for picture and sound in parallel."""
    return WorkerPool(max(2, workers or available_cores()), worker_limits(settings), warn, server=server)


def worker_limits(settings: Settings) -> Limits:
    """The limits of each worker."""
    of = settings.limits
    longest_file = ceil(of.max_duration_s * MOST_KBPS * 1000 / 8)
    required = frozenset(of.require_confinement)
    return Limits(of.worker_memory_mib << 20, of.worker_silence_s, longest_file, required)


def require_value(outcome: Outcome[TaskT]) -> Outcome[TaskT]:
    """Return ``outcome`` if its task succeeded.

    Raises:
        MixError: the task failed, or its worker died.
    """
    if outcome.error:
        raise outcome.error
    if outcome.death:
        raise RenderError(f"{outcome.task.name} cannot be made: its process {outcome.death}")
    return outcome
