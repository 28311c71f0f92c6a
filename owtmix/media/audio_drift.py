"""When decoded sound is presented: from timestamps and sample counts to runs (semantics.md, "Time" and "Sound").

Timestamps say when, sample counts say how much. Neither is right alone: a muted track writes nothing, so counting
runs ahead of its holes; a WebM stamp is rounded to the millisecond and a live one jitters by tens of them, so following
every stamp would be heard. Lateness, the stamp minus the time the counted samples take, tells them apart: it
steps up for good at a hole, wanders about a level with jitter, and slopes where the sample clock drifts.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.plan.media_info import AudioRun

HOLE_S: Final = 0.005
"""Lateness that steps up by more than this, and stays up, is a hole: shorter than any lost packet that is heard."""

HOLE_FRAMES: Final = 32
"""How many frames on either side must agree that lateness stepped up: outlasts the bunching of delayed packets."""

AGREEMENT_S: Final = 0.0015
"""Stamps this near to the counts differ by their rounding only (WebM: 1 ms); the first stamp decides for all."""

TOLERANCE_S: Final = 0.002
"""Error that is left alone: correcting it would resample sound that is in sync to any ear."""

WINDOW_S: Final = 10.0
"""Lateness is levelled over this long, so that jitter cancels and drift shows."""

SHORT_RUN_WINDOWS: Final = 4
"""A run too short for several windows is cut into this many, none under a second."""

CLOCK_SLOPE: Final = 0.1
"""Lateness that changes faster is no clock: stamps that went back, stand still or are broken. Counting goes on."""

MOST_RUNS: Final = 100_000
"""More than one a second for a day: no sound that anybody heard."""

Points = list[tuple[float, float]]
"""Pairs (seconds of sound since the run's start, lateness in seconds), rising."""


def measure_runs(
    pts: NDArray[np.int64], samples: NDArray[np.int64], time_base: Fraction, rate_hz: int
) -> tuple[AudioRun, ...]:
    """Find the runs of a track and how their samples map to time.

    Stamps that agree with the counts, but for their rounding, give a slope of exactly one over the rate, and the run's
    first stamp decides where it starts. Only error beyond ``TOLERANCE_S`` bends the slope.

    Args:
        pts: shape (n,), presentation time of each decoded frame's first sample, in ``time_base``.
        samples: shape (n,), above 0, the samples of each frame, at ``rate_hz``.
        time_base: seconds per unit of ``pts``.
        rate_hz: the track's rate.

    Returns:
        Runs in order, without overlap, that take up every sample; none for a track without frames.

    Raises:
        InputError: there are more than ``MOST_RUNS``.
    """
    if not len(pts):
        return ()
    counts = np.concatenate(([0], np.cumsum(samples)))
    lateness = (pts - pts[0]) * float(time_base) - counts[:-1] / rate_hz
    starts = _run_starts(lateness)
    if len(starts) > MOST_RUNS:
        raise InputError(f"its sound is in {len(starts)} pieces, more than {MOST_RUNS}")
    runs: list[AudioRun] = []
    for first, after in pairwise([*starts, len(pts)]):
        begun = (counts[first:after] - counts[first]) / rate_hz
        total = int(counts[after] - counts[first])
        level = _level(begun, lateness[first:after] - lateness[first], total / rate_hz)
        start = int(pts[first]) * time_base
        runs.append(_run(start, total, level, rate_hz, runs[-1].span.end if runs else None))
    return tuple(runs)


def _run_starts(lateness: NDArray[np.float64]) -> list[int]:
    """Frames that begin a run: all lateness near before lies below all lateness near after."""
    edge = np.full(HOLE_FRAMES, np.inf)
    before = np.lib.stride_tricks.sliding_window_view(np.concatenate((-edge, lateness)), HOLE_FRAMES)[1:-1].max(axis=1)
    after = np.lib.stride_tricks.sliding_window_view(np.concatenate((lateness, edge)), HOLE_FRAMES)[1:-1].min(axis=1)
    return [0, *(np.flatnonzero(after - before > HOLE_S) + 1).tolist()]


def _level(begun: NDArray[np.float64], lateness: NDArray[np.float64], length_s: float) -> Points:
    """The lateness of a run as a line with few bends, from 0 to ``length_s``; frames begin at ``begun`` in it."""
    if np.abs(lateness).max() <= AGREEMENT_S:
        return [(0.0, 0.0), (length_s, 0.0)]
    windows = list(_windows(begun))
    x = np.array([begun[part].mean() for part in windows])
    y = np.array([_middle(lateness[part]) for part in windows])
    # The middle of n stamps that stray by d is off by about d over the root of n; among many windows some are off by
    # several times that. Bends within it are noise.
    stray = np.median([np.median(np.abs(lateness[part] - level)) for part, level in zip(windows, y, strict=True)])
    tolerance = max(TOLERANCE_S, float(6 * stray / np.sqrt(len(begun) / len(windows))))
    offset = _breaks(x, y)
    y = y - offset
    if np.ptp(y) <= 2 * tolerance:
        # Broken stamps say little about the level: the first one decides.
        middle = 0.0 if offset.any() else _middle(y)
        return [(0.0, middle), (length_s, middle)]
    line = _simplified(list(zip(x.tolist(), y.tolist(), strict=True)), tolerance)
    first, last = lateness[windows[0]], lateness[windows[-1]] - offset[-1]
    return [
        (0.0, float(np.clip(_along(line[0], line[1], 0.0), first.min(), first.max()))),
        *line[1:-1],
        (length_s, float(np.clip(_along(line[-2], line[-1], length_s), last.min(), last.max()))),
    ]


def _windows(begun: NDArray[np.float64]) -> Iterator[slice]:
    """Cut a run's frames into stretches of about equal length, none empty."""
    length_s = float(begun[-1])
    window_s = min(WINDOW_S, max(1.0, length_s / SHORT_RUN_WINDOWS))
    bounds = np.linspace(0, length_s, max(1, round(length_s / window_s)) + 1)[1:-1]
    cuts = [0, *np.searchsorted(begun, bounds).tolist(), len(begun)]
    return (slice(first, after) for first, after in pairwise(cuts) if first < after)


def _middle(values: NDArray[np.float64]) -> float:
    """The mean of the middle half: as deaf to stray values as a median, but finer than the rounding of stamps."""
    quarter = len(values) // 4
    return float(np.sort(values)[quarter : len(values) - quarter].mean())


def _breaks(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far lateness has jumped, up to each point, in changes that no clock makes: counting goes on across them."""
    change = np.diff(y)
    jump = np.where(np.abs(change) > CLOCK_SLOPE * np.diff(x), change, 0.0)
    return np.concatenate(([0.0], np.cumsum(jump)))


def _simplified(points: Points, tolerance: float) -> Points:
    """The Douglas-Peucker line: the fewest of the points that keep the others within ``tolerance`` of the line."""
    kept = [points[0]]
    pending = [(0, len(points) - 1)]
    while pending:
        first, last = pending.pop()
        (x0, y0), (x1, y1) = points[first], points[last]
        error = [abs(y - y0 - (y1 - y0) * (x - x0) / (x1 - x0)) for x, y in points[first + 1 : last]]
        if error and max(error) > tolerance:
            middle = first + 1 + error.index(max(error))
            pending += [(middle, last), (first, middle)]
        else:
            kept.append(points[last])
    return kept


def _run(start: Fraction, total: int, level: Points, rate_hz: int, not_before: Fraction | None) -> AudioRun:
    """Lay ``total`` samples along the line of lateness; where that overlaps the run before, wait for its end."""
    samples = [0, *(round(x * rate_hz) for x, _ in level[1:-1]), total]
    # Lateness is an estimate; whole microseconds keep the plan's fractions short and equal on every machine.
    times = [
        start + Fraction(sample, rate_hz) + Fraction(round(late * 1_000_000), 1_000_000)
        for sample, (_, late) in zip(samples, level, strict=True)
    ]
    wait = Fraction(0) if not_before is None else max(Fraction(0), not_before - times[0])
    return AudioRun(tuple((sample, time + wait) for sample, time in zip(samples, times, strict=True)))


def _along(a: tuple[float, float], b: tuple[float, float], x: float) -> float:
    """The line through ``a`` and ``b`` at ``x``."""
    return a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0])
