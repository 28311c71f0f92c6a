"""How much is done at a time, and what was tried again: less and less where the machine is short of something."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from owtmix.produce.failures import Retry, RetryWithLess


@dataclass(slots=True)
class Effort:
    """How much is done at a time.

    Attributes:
        workers: How many compose.
        threads: How many sources each of them decodes at a time.
        most: How many tasks of any kind are done at a time; None for no limit.
        restarted: The names of tasks that were repeated without a reason of the machine's.
        shortages: How often a task was repeated for want of something, by its name.
    """

    workers: int
    threads: int
    most: int | None = None
    restarted: frozenset[str] = frozenset()
    shortages: Counter[str] = field(default_factory=Counter)

    def repeat(self, decision: Retry | RetryWithLess) -> None:
        """Carry out the decision to repeat a task, after its pause."""
        if isinstance(decision, RetryWithLess):
            self.lessen(decision.name)
            time.sleep(decision.pause_s)
        else:
            self.restarted |= {decision.name}

    def lessen(self, name: str) -> None:
        """A task is repeated with half as much at a time; in the end alone, with one source at a time."""
        self.shortages[name] += 1
        self.threads = 1
        if self.workers > 1:
            self.workers //= 2
        else:
            self.most = 1

    def most_with(self, *, waiting: bool) -> int | None:
        """``most``, but two where the sound is ``waiting`` for space that only the picture can free."""
        return max(self.most, 2) if self.most and waiting else self.most
