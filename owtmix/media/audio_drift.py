"""Finds runs of decoded sound from timestamps and sample counts (docs/semantics.md, "Time" and "Sound").

Neither is enough alone. A muted track writes no packets, so counting samples ignores its holes. WebM timestamps are
rounded to the millisecond, and those of a live stream jitter by tens of them, so following each would be heard.
Lateness is the timestamp minus the duration of the samples counted so far. It steps up for good at a hole, varies
around a level with jitter, and has a slope where the sample clock drifts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.media.sound_bursts import CUT_S, MAX_DRIFT, without_spikes
from owtmix.plan.media_info import AudioRun

HOLE_S: Final = 0.005
"""A lasting step of lateness above this is a hole; shorter than any lost packet that is heard."""

HOLE_FRAMES: Final = 32
"""Frames on either side that must agree on a step: more than a burst of delayed packets."""

AGREEMENT_S: Final = 0.0015
"""Timestamps this near to the counts differ by rounding only (WebM: 1 ms); the first one places the run."""

TOLERANCE_S: Final = 0.002
"""Error that is not corrected: resampling would cost quality, and nobody hears the difference."""

WINDOW_S: Final = 10.0
"""Lateness is averaged over this, so that jitter cancels out and drift remains."""

SHORT_RUN_WINDOWS: Final = 4
"""Windows of a run shorter than that many ``WINDOW_S``; none is under a second."""

HELD_BACK_S: Final = 0.06
"""Packets that are later than those around them by more than this were held back."""
BROKEN_S: Final = 1.0
"""Timestamps that leave the sound behind by more than this, though nothing else is wrong with them, are broken."""

MAX_RUNS: Final = 100_000
"""More than one per second of a day."""

Points = list[tuple[float, float]]
"""Pairs (seconds since the start of the run, lateness in seconds), rising."""


def measure_runs(
    pts: NDArray[np.int64],
    samples: NDArray[np.int64],
    time_base: Fraction,
    rate_hz: int,
    breaks: Sequence[int] = (),
) -> tuple[AudioRun, ...]:
    """Find the runs of a track and how their samples map to time.

    If timestamps agree with the counts except for rounding, each sample lasts exactly 1 / ``rate_hz``, and the first
    timestamp places the run. Only error beyond ``TOLERANCE_S`` changes the slope.

    Args:
        pts: int64 (n,), presentation time of the first sample of each decoded frame, in ``time_base``.
        samples: int64 (n,), above 0, samples of each frame at ``rate_hz``.
        time_base: seconds per unit of ``pts``.
        rate_hz: the track's rate.
        breaks: the frames, besides the first, at which timestamps start anew, rising.

    Returns:
        Runs in order, without overlap, that contain every sample; none for a track without frames.

    Raises:
        InputError: there are more than ``MAX_RUNS``.
    """
    if not len(pts):
        return ()
    counts = np.concatenate(([0], np.cumsum(samples)))
    lateness = (pts - pts[0]) * float(time_base) - counts[:-1] / rate_hz
    starts = [
        first + start
        for first, after in pairwise([0, *breaks, len(pts)])
        for start in _run_starts(lateness[first:after], counts[first:after] / rate_hz)
    ]
    if len(starts) > MAX_RUNS:
        raise InputError(f"its sound is in {len(starts)} pieces, more than {MAX_RUNS}")
    runs: list[AudioRun] = []
    for first, after in pairwise([*starts, len(pts)]):
        starts_s = (counts[first:after] - counts[first]) / rate_hz
        total = int(counts[after] - counts[first])
        level = _level(starts_s, lateness[first:after] - lateness[first], total / rate_hz)
        start = int(pts[first]) * time_base
        runs.append(_run(start, total, level, rate_hz, runs[-1].span.end if runs else None))
    return tuple(runs)


def _run_starts(lateness: NDArray[np.float64], counted_s: NDArray[np.float64]) -> list[int]:
    """Indices of the frames that begin a run: at holes, and where sound is too slow to be corrected."""
    starts = _holes(lateness)
    return sorted(
        start + slow
        for start, after in pairwise([*starts, len(lateness)])
        for slow in _too_slow(lateness[start:after], counted_s[start:after])
    )


def _holes(lateness: NDArray[np.float64]) -> list[int]:
    """0, and the frames before which there is a hole: lateness steps up between those before and those after."""
    edge = np.full(HOLE_FRAMES, np.inf)
    before = np.lib.stride_tricks.sliding_window_view(np.concatenate((-edge, lateness)), HOLE_FRAMES)[1:-1].max(axis=1)
    after = np.lib.stride_tricks.sliding_window_view(np.concatenate((lateness, edge)), HOLE_FRAMES)[1:-1].min(axis=1)
    return [0, *(np.flatnonzero(after - before > HOLE_S) + 1).tolist()]


def _too_slow(lateness: NDArray[np.float64], counted_s: NDArray[np.float64]) -> Iterator[int]:
    """0, and the frames at which sound has fallen behind its timestamps by more than drift correction allows."""
    yield 0
    behind = without_spikes(lateness, HOLE_FRAMES) - MAX_DRIFT * counted_s
    if np.max(behind - np.minimum.accumulate(behind)) <= CUT_S:
        return
    start = 0
    while True:
        late = np.flatnonzero(behind[start:] - np.minimum.accumulate(behind[start:]) > CUT_S)
        if not len(late):
            return
        start += int(late[0])
        yield start


def _level(starts_s: NDArray[np.float64], lateness: NDArray[np.float64], length_s: float) -> Points:
    """The lateness of a run as a polyline from 0 to ``length_s``; frames start at ``starts_s`` in it."""
    if np.abs(lateness).max() <= AGREEMENT_S:
        return [(0.0, 0.0), (length_s, 0.0)]
    # What was held back for a moment and then came at once says nothing about the clock.
    lateness = np.minimum(lateness, without_spikes(lateness, HOLE_FRAMES) + HELD_BACK_S)
    windows = list(_windows(starts_s))
    x = np.array([starts_s[part].mean() for part in windows])
    y = np.array([_interquartile_mean(lateness[part]) for part in windows])
    # The mean of n timestamps with a deviation of d is off by about d / sqrt(n), and several times that in some of many
    # windows. Smaller bends are noise.
    deviation = np.median([np.median(np.abs(lateness[part] - level)) for part, level in zip(windows, y, strict=True)])
    tolerance = max(TOLERANCE_S, float(6 * deviation / np.sqrt(len(starts_s) / len(windows))))
    followed = _slewed(x, y)
    if np.abs(y - followed).max() > BROKEN_S:
        # Timestamps that have nothing to do with the sound say nothing about the level: the first one places the run.
        return [(0.0, 0.0), (length_s, 0.0)]
    if np.ptp(followed) <= 2 * tolerance:
        middle = _interquartile_mean(followed)
        return [(0.0, middle), (length_s, middle)]
    line = _simplified(list(zip(x.tolist(), followed.tolist(), strict=True)), tolerance)
    ends = (
        _at_end(lateness[windows[0]], line[0], _interpolated(line[0], line[1], 0.0), line[0][0]),
        _at_end(lateness[windows[-1]], line[-1], _interpolated(line[-2], line[-1], length_s), length_s - line[-1][0]),
    )
    return [(0.0, ends[0]), *line[1:-1], (length_s, ends[1])]


def _at_end(lateness: NDArray[np.float64], near: tuple[float, float], extrapolated: float, distance_s: float) -> float:
    """The level at an end of a run, ``distance_s`` from the point ``near``: within what was seen, and within drift."""
    seen = float(np.clip(extrapolated, lateness.min(), lateness.max()))
    most = MAX_DRIFT * distance_s
    return float(np.clip(seen, near[1] - most, near[1] + most))


def _windows(starts_s: NDArray[np.float64]) -> Iterator[slice]:
    """Split the frames of a run into windows of about equal length, none empty."""
    length_s = float(starts_s[-1])
    window_s = min(WINDOW_S, max(1.0, length_s / SHORT_RUN_WINDOWS))
    bounds = np.linspace(0, length_s, max(1, round(length_s / window_s)) + 1)[1:-1]
    cuts = [0, *np.searchsorted(starts_s, bounds).tolist(), len(starts_s)]
    return (slice(first, after) for first, after in pairwise(cuts) if first < after)


def _interquartile_mean(values: NDArray[np.float64]) -> float:
    """The interquartile mean: as robust as a median, but finer than the rounding of timestamps."""
    quarter = len(values) // 4
    return float(np.sort(values)[quarter : len(values) - quarter].mean())


def _slewed(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """``y`` followed no faster than drift correction may."""
    followed = y.copy()
    for number in range(1, len(y)):
        most = MAX_DRIFT * (x[number] - x[number - 1])
        followed[number] = followed[number - 1] + np.clip(y[number] - followed[number - 1], -most, most)
    return followed


def _simplified(points: Points, tolerance: float) -> Points:
    """Simplify by Douglas-Peucker: drop points that are within ``tolerance`` of the line."""
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
    """A run of ``total`` samples with the lateness of ``level``, without what would lie before ``not_before``."""
    samples = [0, *(round(x * rate_hz) for x, _ in level[1:-1]), total]
    # Whole microseconds keep the plan's fractions short, and equal on every machine.
    times = [
        start + Fraction(sample, rate_hz) + Fraction(round(late * 1_000_000), 1_000_000)
        for sample, (_, late) in zip(samples, level, strict=True)
    ]
    knots = list(zip(samples, times, strict=True))
    if not_before is None or times[0] >= not_before:
        return AudioRun(tuple(knots))
    later = [knot for knot in knots if knot[1] > not_before]
    if not later:  # a run that would lie wholly before: it is heard late
        wait = not_before - times[0]
        return AudioRun(tuple((sample, time + wait) for sample, time in knots))
    (s0, t0), (s1, t1) = knots[-len(later) - 1], later[0]
    first = min(s1 - 1, s0 + ceil((not_before - t0) * (s1 - s0) / (t1 - t0)))
    return AudioRun(((first, t0 + (t1 - t0) * Fraction(first - s0, s1 - s0)), *later))


def _interpolated(a: tuple[float, float], b: tuple[float, float], x: float) -> float:
    """The value at ``x`` of the line through ``a`` and ``b``."""
    return a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0])
