"""How busy many workers would be, from measured costs of chunks, where a machine has fewer cores.

Workers take chunks as the tool's own agenda deals them. They do not slow each other down in caches and memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Final

from owtmix.workers.queues import Runs

WORKERS: Final = (1, 2, 4, 8, 12, 16)


@dataclass(frozen=True, slots=True)
class Chunk:
    """CPU seconds of a chunk for who made the one before it, and how many more for anybody else."""

    number: int
    made_s: float
    joint_s: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a job has to do: ``serial_s`` before and after all else, the sound in one piece, and the chunks."""

    chunks: Sequence[Chunk]
    sound_s: float
    serial_s: float = 0.0

    @property
    def least_s(self) -> float:
        """CPU seconds of one worker that makes everything, without a joint."""
        return self.serial_s + self.sound_s + sum(chunk.made_s for chunk in self.chunks)

    def wall_s(self, workers: int) -> float:
        """How long it takes when each worker has a core of its own; the sound is begun first."""
        runs: Runs[Any] = Runs(self.chunks, workers, lambda _: True)
        runs.claim(0)
        free = [(self.sound_s if worker == 0 else 0.0, worker) for worker in range(workers)]
        heapify(free)
        made: dict[int, int] = {}
        done_s = max(free)[0]
        while runs:
            now_s, worker = heappop(free)
            chunk = runs.take(worker)
            assert chunk is not None  # all of them are ready
            follows = made.get(worker) == chunk.number - 1
            now_s += chunk.made_s + (0 if follows else chunk.joint_s)
            made[worker] = chunk.number
            done_s = max(done_s, now_s)
            heappush(free, (now_s, worker))
        return self.serial_s + done_s

    def busy(self, workers: int) -> float:
        """The least CPU seconds over those of all workers' cores, 0..1."""
        return self.least_s / (workers * self.wall_s(workers))
