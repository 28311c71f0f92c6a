"""What is wrong with a queue, all of it, as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from owtmix.base.errors import MixError

MOST_SHOWN: Final = 100
"""Of the others only the places are told."""

_LINE: Final = re.compile(r"line ([0-9,]{1,12})")


class QueueError(MixError):
    """The queue, or the results file, is wrong. Nothing was run."""

    exit_status: ClassVar[int] = 2
    outline: ClassVar[str] = "the queue is wrong"

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Problems:
    """Collects sentences with their places; of those after the first ``MOST_SHOWN``, the places."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._others: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Add one, such as ``line 7``, ``cfg: missing``."""
        if len(self._shown) < MOST_SHOWN:
            self._shown.append(f"{where}: {what}" if where else what)
        else:
            self._others.append(where)

    def check(self) -> None:
        """Raise QueueError if there are any."""
        if not self._shown:
            return
        places = ", ".join(_joined(list(dict.fromkeys(where for where in self._others if where))))
        more = f"and {len(self._others):,} more{': ' if places else ''}{places}"
        raise QueueError(*self._shown, *([more] if self._others else []))


def _joined(places: Sequence[str]) -> Iterator[str]:
    """Places, of which lines that follow each other are one."""
    first = last = 0
    for place in [*places, ""]:
        found = _LINE.fullmatch(place)
        if found and _number(found) == last + 1 and first:
            last += 1
            continue
        if first:
            yield f"line {first:,}" if first == last else f"lines {first:,} to {last:,}"
        first = last = _number(found) if found else 0
        if place and not found:
            yield place


def _number(found: re.Match[str]) -> int:
    return int(found[1].replace(",", ""))
