"""Detects the flat black frames that recorders write for a muted camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from numpy.typing import NDArray

BLANK_ROW_STEP: Final = 8
"""One row in this many is checked."""
BLANK_LUMA: Final = 18
"""Maximum luma, in 8-bit code values."""
BLANK_SPREAD: Final = 4
"""Maximum range of a plane: the first black frames after others keep a little of their colours."""


def is_blank(planes: Iterator[NDArray[Any]], scale: int) -> bool:
    """Whether some rows of each plane, luma first, are flat black; ``scale`` is 1 for 8-bit samples, 4 for 10-bit."""
    luma = next(planes)
    if int(luma[len(luma) // 2].max()) > BLANK_LUMA * scale:  # rejects most frames by one row
        return False
    return int(luma.max()) <= BLANK_LUMA * scale and all(
        int(p.max()) - int(p.min()) <= BLANK_SPREAD * scale for p in (luma, *planes)
    )
