"""Places the sound of a run at output samples: copies it if its clock does not drift, else interpolates.

The interpolator is a Farrow filter: a windowed sinc whose taps are polynomials of the fractional position, so that a
few fixed filters over the input serve any position. Arithmetic is elementwise and in a fixed order: results depend
neither on the machine's linear algebra library nor on the sizes of reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.plan.media_info import AudioRun
from owtmix.plan.model import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
"""float32 (channels, n), full scale 1.0; one channel is mono."""

PlacedSamples = tuple[int, Samples]
"""The output sample where the sound starts, and the sound."""

REACH: Final = 10
"""Taps on either side of the nearest sample. Errors are below -70 dB up to 12 kHz, and -58 dB up to 18 kHz."""

DRIFT_BLOCK_SAMPLES: Final = 16_384
"""Drifting sound is interpolated in blocks of this: fewer cost more calls, more exceed the processor's cache."""

_DEGREE: Final = 4
_KAISER_BETA: Final = 8.0


def keeps_time(run: AudioRun, rate_hz: int) -> bool:
    """Whether the run has no drift: every sample lasts exactly 1 / ``rate_hz``."""
    start_sample, start = run.knots[0]
    return all(time - start == Fraction(sample - start_sample, rate_hz) for sample, time in run.knots)


class CopyPlacer:
    """Places a run without drift: its first sample at the nearest output sample, the rest after it."""

    def __init__(self, run: AudioRun, first: int, rate_hz: int, offset_s: Fraction) -> None:
        """Sound starts at sample ``first`` of the run; file time plus ``offset_s`` (s) is output time."""
        start_sample, start = run.knots[0]
        self._next = round((start + Fraction(first - start_sample, rate_hz) + offset_s) * SAMPLE_RATE_HZ)

    def push(self, sound: Samples) -> Iterator[PlacedSamples]:
        """Place the next ``sound``, at 48 kHz."""
        yield self._next, sound
        self._next += sound.shape[1]

    def finish(self) -> Iterator[PlacedSamples]:
        """Place what is still held, after the last push."""
        yield from ()


class DriftPlacer:
    """Places a run with drift: each output sample is interpolated at the position that the run's knots map to it."""

    def __init__(self, run: AudioRun, first: int, rate_hz: int, offset_s: Fraction) -> None:
        """Sound starts at sample ``first`` of the run; file time plus ``offset_s`` (s) is output time."""
        start = run.knots[0][1]
        self._seconds = np.array([float(time - start) for _, time in run.knots])
        self._positions = np.array([(sample - first) * SAMPLE_RATE_HZ / rate_hz for sample, _ in run.knots])
        self._origin = (start + offset_s) * SAMPLE_RATE_HZ
        self._next = ceil(self._origin + Fraction(float(np.interp(0, self._positions, self._seconds))) * SAMPLE_RATE_HZ)
        self._end = ceil((run.knots[-1][1] + offset_s) * SAMPLE_RATE_HZ)
        self._held: list[Samples] = []
        self._held_samples = 0
        self._held_start = -REACH - 1

    def push(self, sound: Samples) -> Iterator[PlacedSamples]:
        """Place the next ``sound``, at 48 kHz."""
        if not self._held:
            self._hold(np.zeros((len(sound), REACH + 1), np.float32))
        self._hold(sound)
        if self._held_samples >= DRIFT_BLOCK_SAMPLES:
            yield from self._place()

    def finish(self) -> Iterator[PlacedSamples]:
        """Place what is still held, after the last push."""
        if self._held:
            self._hold(np.zeros((len(self._held[0]), REACH + 1), np.float32))
            yield from self._place()

    def _hold(self, sound: Samples) -> None:
        self._held.append(sound)
        self._held_samples += sound.shape[1]

    def _place(self) -> Iterator[PlacedSamples]:
        """Interpolate as far as the held sound allows, and keep what the next output sample needs."""
        held = np.concatenate(self._held, axis=1)
        # Drift is at most 0.5 % (``sound_bursts.MAX_DRIFT``), so twice the input is always enough.
        output = np.arange(self._next, min(self._next + 2 * held.shape[1], self._end))
        lag = float(self._next - self._origin)
        positions = (
            np.interp((output - self._next + lag) / SAMPLE_RATE_HZ, self._seconds, self._positions) - self._held_start
        )
        positions = positions[: np.searchsorted(positions, held.shape[1] - REACH - 1, side="right")]
        if len(positions):
            yield self._next, interpolate(held, positions)
            self._next += len(positions)
            done = max(0, int(positions[-1]) - REACH - 1)
            held = held[:, done:]
            self._held_start += done
        self._held, self._held_samples = [held], held.shape[1]


def interpolate(sound: Samples, positions: NDArray[np.float64]) -> Samples:
    """Interpolate ``sound`` at fractional ``positions``.

    Args:
        sound: float32 (channels, n).
        positions: float64 (m,), rising, in samples; each at least ``REACH`` + 0.5 from either end of ``sound``.

    Returns:
        float32 (channels, m).
    """
    nearest = np.rint(positions).astype(np.intp)
    fraction = (positions - nearest).astype(np.float32)
    first, after = int(nearest[0]), int(nearest[-1]) + 1
    centre = sound[:, first:after]
    filtered = [coefficient * centre for coefficient in _TAPS[0]]
    term = np.empty_like(centre)
    for distance in range(1, REACH + 1):
        later = sound[:, first + distance : after + distance]
        earlier = sound[:, first - distance : after - distance]
        # The sinc is even: both sides have equal weights for even powers of the fraction, opposite ones for odd powers.
        sides = (later + earlier, later - earlier)
        for power, coefficient in enumerate(_TAPS[distance]):
            filtered[power] += np.multiply(coefficient, sides[power % 2], out=term)
    nearest -= first
    result = np.take(filtered[-1], nearest, axis=1)
    for lower in reversed(filtered[:-1]):
        result *= fraction
        result += np.take(lower, nearest, axis=1)
    return result


def _taps() -> NDArray[np.float32]:
    """float32 (REACH + 1, powers): coefficients of tap ``k`` in powers of the fraction, exact at Chebyshev nodes."""
    powers = _DEGREE + 1
    nodes = np.cos((2 * np.arange(powers) + 1) * np.pi / (2 * powers)) / 2
    distance = np.arange(-REACH, REACH + 1)[:, None] - nodes
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0, 1 - (distance / (REACH + 0.5)) ** 2)))
    values = np.sinc(distance) * window
    values /= values.sum(axis=0)
    taps = np.zeros((2 * REACH + 1, powers))
    for index, node in enumerate(nodes):
        others = np.delete(nodes, index)
        basis = np.polynomial.polynomial.polyfromroots(others) / np.prod(node - others)
        taps += values[:, index : index + 1] * basis
    return taps[REACH:].astype(np.float32)


_TAPS: Final = _taps()
