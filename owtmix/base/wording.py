"""Numbers with their nouns, and lists of which only the beginning is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

MOST_NAMES: Final = 20


def some(names: Iterable[object], most: int = MOST_NAMES) -> str:
    """``a, b and 8 more``; ``none`` without any."""
    found = [str(name) for name in names]
    return ", ".join(found[:most]) + (f" and {len(found) - most:,} more" if len(found) > most else "") or "none"


def counted(number: int, one: str, many: str = "") -> str:
    """``1 job``, ``1,200 jobs``: a number with its noun, whose plural is ``many`` or has an ``s``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def first_lines(lines: Sequence[str], most: int = MOST_NAMES) -> str:
    """The first ``most`` lines, and the number of the others."""
    return "\n".join([*lines[:most], *([f"and {len(lines) - most:,} more"] if len(lines) > most else [])])
