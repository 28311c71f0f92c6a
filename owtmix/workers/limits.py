"""How many child processes this machine carries, and what becomes of a task that failed in one."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Final, TypeVar

from owtmix.base.errors import RenderError
from owtmix.jobfile.settings import Settings
from owtmix.workers.base import Limits, Outcome, Task
from owtmix.workers.local import WorkerPool

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")

TaskT = TypeVar("TaskT", bound=Task)


def available_cores(quota: Path = _QUOTA) -> int:
    """How many processors this process may keep busy: those it may run on, and no more than its container may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return max(1, min(available, ceil(int(allowed) / int(period))))
    except (OSError, ValueError):  # there is none, or it says "max"
        return available


def start_workers(settings: Settings, warn: Callable[[str], None], workers: int | None = None) -> WorkerPool:
    """A crew of ``workers``, by default as many as there are processors.

    There are two children at least, since picture and sound are made beside each other.
    """
    limits = Limits(settings.limits.worker_memory_mib << 20, settings.limits.worker_silence_s)
    return WorkerPool(max(2, workers or available_cores()), limits, warn)


def require_value(outcome: Outcome[TaskT]) -> Outcome[TaskT]:
    """The outcome, unless the task failed.

    Raises:
        MixError: what the task raised, or that its child died.
    """
    if outcome.error:
        raise outcome.error
    if outcome.death:
        raise RenderError(f"{outcome.task.name} cannot be made: its process {outcome.death}")
    return outcome
