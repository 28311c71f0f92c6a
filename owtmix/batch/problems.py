"""What is wrong with a queue, all of it, as sentences."""

from __future__ import annotations

from typing import ClassVar, Final

from owtmix.base.errors import MixError

MOST_SHOWN: Final = 100
"""The others are counted."""


class QueueError(MixError):
    """The queue, or the results file, is wrong. Nothing was run."""

    exit_status: ClassVar[int] = 2
    outline: ClassVar[str] = "the queue is wrong"

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Problems:
    """Collects sentences with their places; the first ``MOST_SHOWN`` are kept."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._count = 0

    def add(self, where: str, what: str) -> None:
        """Add one, such as ``line 7``, ``cfg: missing``."""
        self._count += 1
        if self._count <= MOST_SHOWN:
            self._shown.append(f"{where}: {what}" if where else what)

    def check(self) -> None:
        """Raise QueueError if there are any."""
        if self._count:
            more = self._count - len(self._shown)
            raise QueueError(*self._shown, *([f"and {more:,} more"] if more else []))
