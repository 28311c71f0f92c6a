"""How well chunks would keep many workers busy, from measured times of chunks: where cores are missing."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

WORKERS: Final = (1, 2, 4, 8, 12, 16)


def makespan_s(tasks_s: Sequence[float], workers: int) -> float:
    """How long tasks take that are begun in order, each by the first worker that is free."""
    free_at: list[float] = [0.0] * workers
    for task_s in tasks_s:
        heappush(free_at, heappop(free_at) + task_s)
    return max(free_at)


def runs(chunks_s: Sequence[float], workers: int) -> list[float]:
    """Neighbouring chunks together, as a worker takes them that keeps its decoders open: one run for each worker.

    The cuts are where each run comes nearest to an equal part of the whole.
    """
    share_s = sum(chunks_s) / workers
    made = [0.0]
    done_s = 0.0
    for chunk_s in chunks_s:
        # A chunk that lies more beyond the end of this worker's share than before it begins the next run.
        if made[-1] and done_s + chunk_s / 2 > len(made) * share_s:
            made.append(0.0)
        made[-1] += chunk_s
        done_s += chunk_s
    return made


def efficiency(chunks_s: Sequence[float], workers: int, serial_s: float = 0.0) -> float:
    """The work of all chunks over the time of all workers, 0..1; ``serial_s`` is what nobody shares."""
    wall_s = serial_s + makespan_s(runs(chunks_s, workers), workers)
    return (serial_s + sum(chunks_s)) / (workers * wall_s)
