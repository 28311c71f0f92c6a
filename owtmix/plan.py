"""The render plan: everything that decides the output, as data."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from owtmix.clip import AudioTrack
from owtmix.timing import TimeRange


@dataclass(frozen=True, slots=True)
class AudioPlacement:
    """Where a source sounds: file time plus ``offset_s`` is output time; nothing outside ``span`` (output time)."""

    source: int
    track: AudioTrack
    span: TimeRange
    offset_s: Fraction
