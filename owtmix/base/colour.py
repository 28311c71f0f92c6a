"""Colours of the job file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """Full-range R'G'B', each 0..255."""

    r: int
    g: int
    b: int
