"""Bands of rows: elementwise work on a large picture takes memory for one band at a time, and gives the same pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_BAND_PIXELS: Final = 1 << 18


def bands(height: int, width: int) -> Iterator[slice]:
    """Slices of consecutive rows that cover ``height`` rows of ``width``; all but the last have an even number."""
    rows = max(2, _BAND_PIXELS // max(1, width) // 2 * 2)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
