"""An RGB colour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """Full-range R'G'B' (gamma-encoded), 0..255 each."""

    r: int
    g: int
    b: int
