"""Numbers that jobs, nodes and files say: whatever they are, they become bounded ones or none."""

from __future__ import annotations

from typing import Final

LARGEST: Final = 1e15
"""Integers beyond what a float holds are no numbers to calculate with."""


def number_of(value: object, most: float = LARGEST) -> float | None:
    """``value`` as a float from 0 to ``most``, to which larger ones are cut; None where it is no number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return float(min(value, most))
