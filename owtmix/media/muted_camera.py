"""Whether a picture is the flat black that recorders write for a muted camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from numpy.typing import NDArray

BLANK_ROW_STEP: Final = 8
"""Every so many rows tell enough."""
BLANK_LUMA: Final = 18
BLANK_SPREAD: Final = 4
"""The first black frames after a picture keep a little of its colours."""


def is_blank(planes: Iterator[NDArray[Any]], scale: int) -> bool:
    """Whether some rows of each plane, luma first, are as flat and black; ``scale`` is 1 for 8 bits."""
    luma = next(planes)
    if int(luma[len(luma) // 2].max()) > BLANK_LUMA * scale:  # one row tells it of most pictures
        return False
    return int(luma.max()) <= BLANK_LUMA * scale and all(
        int(p.max()) - int(p.min()) <= BLANK_SPREAD * scale for p in (luma, *planes)
    )
