"""The seam between the batch and where attempts run: children of this process, or tasks of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from owtmix.batch.attempt import Attempt, Ended, JobProgress


class Runner(Protocol):
    """Runs attempts. All methods are called from one thread."""

    @property
    def hosts(self) -> Collection[str]:
        """The hosts that can run attempts now, by the names that ``Ended.node`` has."""

    @property
    def busy_places(self) -> int:
        """How many places are held: of this machine, by whomever; of a cluster, by attempts of this batch."""

    def can_begin(self, attempt: Attempt) -> bool:
        """Whether there is room for it now: a place, memory, disk, a card, on a host that it need not avoid.

        An exclusive attempt fits where nothing runs, and nothing fits beside it.
        """

    def begin(self, attempt: Attempt) -> None:
        """Run it; ``can_begin`` has just said that it fits."""

    def wait(self, timeout_s: float) -> list[Ended]:
        """Those that ended, after waiting for one for at most so long; progress is read meanwhile."""

    def progress(self) -> Mapping[str, JobProgress]:
        """What running jobs said last, by their ids, in the order in which they began."""

    def stop(self) -> None:
        """Ask all runs to end, and end them when they do not. ``wait`` tells of their ends as of any other."""

    def close(self) -> None:
        """End whatever still runs, and give everything back."""
