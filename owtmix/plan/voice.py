"""Where a recording's sound is voice, and how loud it is: what is known of it before anybody's turns are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

HOP_S: Final = Fraction(1, 20)
"""Levels are measured this often."""
LOWEST_DB: Final = -100
MOST_HOPS: Final = 7 * 86_400 * 20
"""Of a recording: a week, the longest output that settings can allow. What comes later is not listened to."""
MOST_FIRST_HOP: Final = 1 << 48
"""Of a recording whose clock begins anywhere."""


@dataclass(frozen=True, slots=True)
class VoiceRun:
    """Voice without a pause: a level (whole dB, 0 is full scale) for each hop of ``HOP_S``.

    The first one is number ``first``, which begins at file time ``first * HOP_S``.
    """

    first: int
    levels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Voice:
    """The voice in all sounds of a recording: its runs, sorted, with a hop or more between them."""

    runs: tuple[VoiceRun, ...] = ()


def check_voice(voice: Voice) -> None:
    """Check a measurement, which a worker that a recording has taken over may have made.

    Raises:
        ValueError: no measurement is like that; the message completes "its result ...".
    """
    for run in voice.runs:
        if not run.levels or abs(run.first) > MOST_FIRST_HOP:
            raise ValueError("has voice at no time")
        if not LOWEST_DB <= min(run.levels) <= max(run.levels) <= -LOWEST_DB:
            raise ValueError("has a voice of no level")
    if sum(len(run.levels) for run in voice.runs) > MOST_HOPS:
        raise ValueError("has more voice than there is time")
    if any(before.first + len(before.levels) >= after.first for before, after in pairwise(voice.runs)):
        raise ValueError("has voice in no order")
