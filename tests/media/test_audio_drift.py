"""Runs of sound from timestamps and sample counts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from owtmix.media.audio_drift import TOLERANCE_S, measure_runs
from owtmix.media.audio_resample import keeps_time
from owtmix.plan.media_info import AudioRun

RATE_HZ = 48_000
FRAME = 960
FRAME_S = Fraction(FRAME, RATE_HZ)
MILLISECOND = Fraction(1, 1000)


def measure(
    times_s: NDArray[np.float64], time_base: Fraction = MILLISECOND, breaks: Sequence[int] = ()
) -> tuple[AudioRun, ...]:
    """The runs of frames of 20 ms with timestamps ``times_s``, rounded to ``time_base``."""
    pts = np.floor(times_s / float(time_base) + 0.5).astype(np.int64)
    return measure_runs(pts, np.full(len(pts), FRAME), time_base, RATE_HZ, breaks)


def steady(frames: int) -> NDArray[np.float64]:
    return np.asarray(np.arange(frames) * float(FRAME_S), np.float64)


def time_at(run: AudioRun, seconds: float) -> float:
    """The presentation time of the sample ``seconds`` of sample counts after the start of the run."""
    samples, times = zip(*run.knots, strict=True)
    return float(np.interp(seconds * RATE_HZ, samples, [float(time) for time in times]))


def test_exact_timestamps_give_exact_runs() -> None:
    pts = np.arange(1000) * 1024 + 2_646_007
    (run,) = measure_runs(pts, np.full(1000, 1024), Fraction(1, 44_100), 44_100)
    start = Fraction(2_646_007, 44_100)
    assert run.knots == ((0, start), (1_024_000, start + Fraction(1_024_000, 44_100)))


def test_rounding_to_milliseconds_is_not_drift() -> None:
    pts = np.round(np.arange(5000) * 1024 * 1000 / 44_100).astype(np.int64) + 60_000
    (run,) = measure_runs(pts, np.full(5000, 1024), MILLISECOND, 44_100)
    assert run.knots[0] == (0, Fraction(60))
    assert keeps_time(run, 44_100)


def test_a_hole_starts_a_new_run_at_its_timestamp() -> None:
    times = steady(300)
    times[100:] += 2.5
    times[200:] += 0.02
    runs = measure(times)
    assert [(run.knots[-1][0], run.span.start) for run in runs] == [
        (100 * FRAME, Fraction(0)),
        (100 * FRAME, Fraction("4.5")),
        (100 * FRAME, Fraction("6.52")),
    ]


def test_isolated_packets_of_a_muted_track_are_runs_of_their_own() -> None:
    runs = measure(steady(50) * 20)
    assert [run.span.start for run in runs] == [Fraction(2 * n, 5) for n in range(50)]


@pytest.mark.parametrize("seed", range(5))
def test_jitter_neither_splits_a_run_nor_counts_as_drift(seed: int) -> None:
    jitter = np.random.default_rng(seed).uniform(-0.03, 0.03, 6000)
    (run,) = measure(steady(6000) + jitter)
    assert keeps_time(run, RATE_HZ)
    assert abs(float(run.span.start)) < 2 * TOLERANCE_S


def test_bursts_of_delayed_packets_do_not_split_a_run() -> None:
    times = steady(3000)
    for first in range(100, 3000, 200):
        times[first : first + 6] = times[first + 6]
    (run,) = measure(times)
    assert run.span.start == 0
    assert keeps_time(run, RATE_HZ)


@pytest.mark.parametrize("drift", [0.001, -0.001, 0.0001, 0.005])
@pytest.mark.parametrize("length_s", [8, 60, 1200])
def test_clock_drift_changes_the_slope(drift: float, length_s: int) -> None:
    (run,) = measure(5 + steady(length_s * 50) * (1 + drift))
    for seconds in np.linspace(0, length_s, 50):
        error_s = abs(time_at(run, seconds) - 5 - seconds * (1 + drift))
        assert error_s < 0.001 if abs(drift) * length_s > 4 * TOLERANCE_S else error_s <= TOLERANCE_S


def test_varying_drift_is_followed() -> None:
    counted = steady(60_000)

    def wander(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(0.3 * np.sin(seconds / 200))

    (run,) = measure(counted + wander(counted))
    for seconds in np.linspace(0, 1200, 200):
        assert abs(time_at(run, seconds) - seconds - wander(seconds)) < 2 * TOLERANCE_S
    assert len(run.knots) < 60


def test_drift_and_holes_together() -> None:
    times = steady(9000) * 1.001
    times[4000:] += 3
    first, second = measure(times)
    assert abs(time_at(first, 80) - 80.08) < 0.001
    assert abs(time_at(second, 0) - 83.08) < 0.001
    assert abs(time_at(second, 100) - 183.18) < 0.001


def test_repeated_timestamps_are_ignored() -> None:
    (run,) = measure(np.zeros(5000))
    assert run.span.end == 100
    assert keeps_time(run, RATE_HZ)


def test_where_timestamps_start_anew_a_run_does() -> None:
    times = steady(6000)
    times[3000:] -= 60
    first, second = measure(times, breaks=[3000])
    assert [first.span.end, second.span.start, second.span.duration] == [60, 60, 60]


def test_sound_that_is_too_slow_has_holes_and_no_other_pitch() -> None:
    """Drift correction never exceeds 0.5 %."""
    runs = measure(steady(6000) * 1.02)
    assert len(runs) > 20
    for run in runs:
        slopes = [(t1 - t0) * RATE_HZ / (n1 - n0) for (n0, t0), (n1, t1) in pairwise(run.knots)]
        assert all(abs(float(slope) - 1) < 0.0051 for slope in slopes)
    counted = 0.0
    for run in runs:
        assert abs(float(run.span.start) - counted * 1.02) < 0.06
        counted += run.knots[-1][0] / RATE_HZ


def test_no_frames_no_runs() -> None:
    assert measure(np.array([])) == ()


@given(
    st.lists(st.tuples(st.integers(-200_000, 200_000), st.integers(1, 5000)), min_size=1, max_size=200),
    st.sampled_from([8000, 44_100, 48_000]),
)
def test_runs_are_in_order_and_contain_every_sample(frames: list[tuple[int, int]], rate_hz: int) -> None:
    pts, samples = np.array(frames, np.int64).T
    runs = measure_runs(pts, samples, MILLISECOND, rate_hz)
    assert sum(run.knots[-1][0] for run in runs) == samples.sum()
    assert all(before.span.end <= after.span.start for before, after in pairwise(runs))
    for run in runs:
        assert 0 <= run.knots[0][0] < run.knots[-1][0]
        assert all(n < m and s < t for (n, s), (m, t) in pairwise(run.knots))
