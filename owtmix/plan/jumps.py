"""Jumps: where index time in which nobody is in the room is cut from the output (docs/semantics.md, "Time")."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from owtmix.base.time import TimeRange, timecode


@dataclass(frozen=True, slots=True)
class Jump:
    """From output time ``at_s`` on, index time is output time plus ``ahead_s``."""

    at_s: Fraction
    ahead_s: Fraction


def merge_ranges(ranges: Iterable[TimeRange], within: Fraction) -> tuple[TimeRange, ...]:
    """The union of ``ranges``. Ranges that touch, or have a gap shorter than ``within``, are merged."""
    merged: list[TimeRange] = []
    for span in sorted(ranges):
        if merged and (span.start <= merged[-1].end or span.start - merged[-1].end < within):
            merged[-1] = TimeRange(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def jumps_between(
    occupied: Sequence[TimeRange], idle_s: Fraction, *, keep_gaps: bool
) -> tuple[tuple[Jump, ...], list[str]]:
    """Cut ranges in which no stream is present to ``IdleTime``. ``occupied`` are the other ranges, in index time."""
    jumps = [Jump(Fraction(0), occupied[0].start)]
    warnings = []
    for before, after in pairwise(occupied):
        cut = after.start - before.end - idle_s
        if cut > 0 and not keep_gaps:
            at = before.end + idle_s - jumps[-1].ahead_s
            jumps.append(Jump(at, jumps[-1].ahead_s + cut))
            warnings.append(
                f"nobody was in the room for {timecode(after.start - before.end)} from {timecode(at - idle_s)}: "
                f"{timecode(cut)} of it is cut (IdleTime is {float(idle_s):g} s)"
            )
    return tuple(jumps), warnings


def ahead_of(jumps: Sequence[Jump], index_time: Fraction) -> Fraction:
    """Index time minus output time, at an index time that is not cut."""
    return jumps[bisect_right(jumps, index_time, key=lambda jump: jump.at_s + jump.ahead_s) - 1].ahead_s
