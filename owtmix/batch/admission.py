"""Whether this machine has memory and disk for one more job beside those that run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from owtmix.batch.attempt import Attempt
from owtmix.workers.process_state import available_memory_bytes, held_bytes

MEMORY_RESERVE: Final = 256 << 20
DISK_RESERVE: Final = 256 << 20
"""Stay free, in bytes: for the system, and for what was guessed too low."""
_LOOK_S: Final = 1.0
"""How long what was seen of running processes counts."""
_DEEPEST: Final = 3
"""A job's process, its workers, and their children."""


class Admission:
    """Compares what a job may take with what is left, where those that run may still grow."""

    def __init__(
        self,
        state: Path,
        memory: Callable[[], int | None] = available_memory_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch the disk of the folder ``state``."""
        self._state = state
        self._memory = memory
        self._clock = clock
        self._resident: dict[int, int] = {}
        self._seen_s = float("-inf")

    def fits(self, attempt: Attempt, running: Mapping[int, Attempt]) -> bool:
        """Whether ``attempt`` fits beside those that run, by their process ids; alone everything fits."""
        return not self.lacking(attempt, running)

    def lacking(self, attempt: Attempt, running: Mapping[int, Attempt]) -> str:
        """What there is too little of for ``attempt``, as a noun; empty where it fits."""
        if not running:
            return ""
        if not self._fits_memory(attempt, running):
            return "memory"
        return "" if self._fits_disk(attempt, running.values()) else "disk space"

    def _fits_memory(self, attempt: Attempt, running: Mapping[int, Attempt]) -> bool:
        available = self._memory()
        if available is None:
            return True
        now_s = self._clock()
        if now_s >= self._seen_s + _LOOK_S:
            self._seen_s = now_s
            self._resident = {pid: _tree_bytes(pid) for pid in running}
        growth = sum(max(0, other.memory_bytes - self._resident.get(pid, 0)) for pid, other in running.items())
        return available - growth - MEMORY_RESERVE >= attempt.memory_bytes

    def _fits_disk(self, attempt: Attempt, running: Iterable[Attempt]) -> bool:
        try:
            found = os.statvfs(self._state)
        except OSError:
            return True
        growth = sum(other.disk_bytes for other in running)
        return found.f_bavail * found.f_frsize - growth - DISK_RESERVE >= attempt.disk_bytes


def _tree_bytes(pid: int, depth: int = _DEEPEST) -> int:
    """Resident memory of a process and those below it."""
    total = held_bytes(pid)
    if depth > 1:
        with suppress(OSError, ValueError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            total += sum(_tree_bytes(int(child), depth - 1) for child in children)
    return total
