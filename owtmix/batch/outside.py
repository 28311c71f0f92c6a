"""Numbers that jobs, nodes and files say: whatever they are, they become bounded ones or none."""

from __future__ import annotations

from typing import Final

LARGEST: Final = 1e15
"""Integers beyond what a float holds are no numbers to calculate with."""

MOST: Final = 10_000_000
"""Of attempts and MiB."""
_STATUSES: Final = range(-64, 256)
"""Of processes, signals included."""


def number_of(value: object, most: float = LARGEST) -> float | None:
    """``value`` as a float from 0 to ``most``, to which larger ones are cut; None where it is no number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return float(min(value, most))


def mib_of(value: object) -> int:
    """``value`` as a size in MiB; 0 where it is none."""
    return int(number_of(value, MOST) or 0)


def status_of(value: object) -> int:
    """``value`` as the exit status of a process, negative for a signal.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or value not in _STATUSES:
        raise ValueError("it is no exit status")
    return value
