"""Laying a run's sound at output samples: copied where its clock keeps time, read between its samples where it drifts.

The interpolation is a Farrow filter: a windowed sinc whose every tap is a polynomial of the fraction between samples,
so that a few fixed filters over the input serve any position. Only elementwise arithmetic, in a fixed order: the result
depends neither on the machine's linear algebra nor on how the positions are cut into calls.
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
"""Shape (channels, samples), float32, full scale 1.0; one channel is mono."""

PlacedSamples = tuple[int, Samples]
"""Sound and the output sample it starts at."""

REACH: Final = 10
"""Samples needed on either side of a position's nearest sample. Errors are below -70 dB to 12 kHz, -58 dB to 18 kHz."""

DRIFT_BLOCK_SAMPLES: Final = 16_384
"""Drifting sound is read about this much at a time: fewer cost more calls, more leave the processor's cache."""

_DEGREE: Final = 4
_KAISER_BETA: Final = 8.0


def keeps_time(run: AudioRun, rate_hz: int) -> bool:
    """Whether every sample of the run lasts exactly one over the rate."""
    start_sample, start = run.knots[0]
    return all(time - start == Fraction(sample - start_sample, rate_hz) for sample, time in run.knots)


class CopyPlacer:
    """Lays the sound of a run that keeps time: its first sample at the nearest output sample, the rest behind it."""

    def __init__(self, run: AudioRun, first: int, rate_hz: int, offset_s: Fraction) -> None:
        """Sound begins at sample ``first`` of the run; file time plus ``offset_s`` is output time."""
        self._next = round((run.knots[0][1] + Fraction(first, rate_hz) + offset_s) * SAMPLE_RATE_HZ)

    def push(self, sound: Samples) -> Iterator[PlacedSamples]:
        """Lay the next ``sound``, at 48 kHz."""
        yield self._next, sound
        self._next += sound.shape[1]

    def finish(self) -> Iterator[PlacedSamples]:
        """What is still held back, once all sound was pushed."""
        yield from ()


class DriftPlacer:
    """Lays the sound of a run that drifts: every output sample is read where the run's knots put its time."""

    def __init__(self, run: AudioRun, first: int, rate_hz: int, offset_s: Fraction) -> None:
        """Sound begins at sample ``first`` of the run; file time plus ``offset_s`` is output time."""
        start = run.knots[0][1]
        self._seconds = np.array([float(time - start) for _, time in run.knots])
        self._places = np.array([(sample - first) * SAMPLE_RATE_HZ / rate_hz for sample, _ in run.knots])
        self._origin = (start + offset_s) * SAMPLE_RATE_HZ
        self._next = ceil(self._origin + Fraction(float(np.interp(0, self._places, self._seconds))) * SAMPLE_RATE_HZ)
        self._end = ceil((run.knots[-1][1] + offset_s) * SAMPLE_RATE_HZ)
        self._held: list[Samples] = []
        self._held_samples = 0
        self._held_from = -REACH - 1

    def push(self, sound: Samples) -> Iterator[PlacedSamples]:
        """Lay the next ``sound``, at 48 kHz."""
        if not self._held:
            self._hold(np.zeros((len(sound), REACH + 1), np.float32))
        self._hold(sound)
        if self._held_samples >= DRIFT_BLOCK_SAMPLES:
            yield from self._lay()

    def finish(self) -> Iterator[PlacedSamples]:
        """What is still held back, once all sound was pushed."""
        if self._held:
            self._hold(np.zeros((len(self._held[0]), REACH + 1), np.float32))
            yield from self._lay()

    def _hold(self, sound: Samples) -> None:
        self._held.append(sound)
        self._held_samples += sound.shape[1]

    def _lay(self) -> Iterator[PlacedSamples]:
        """Read as far as the sound held reaches, and keep what the next output sample needs."""
        held = np.concatenate(self._held, axis=1)
        # One clock runs at most a tenth faster than the other (audio_clock), so twice the input is always enough.
        output = np.arange(self._next, min(self._next + 2 * held.shape[1], self._end))
        lag = float(self._next - self._origin)
        places = np.interp((output - self._next + lag) / SAMPLE_RATE_HZ, self._seconds, self._places) - self._held_from
        places = places[: np.searchsorted(places, held.shape[1] - REACH - 1, side="right")]
        if len(places):
            yield self._next, interpolate(held, places)
            self._next += len(places)
            done = max(0, int(places[-1]) - REACH - 1)
            held = held[:, done:]
            self._held_from += done
        self._held, self._held_samples = [held], held.shape[1]


def interpolate(sound: Samples, positions: NDArray[np.float64]) -> Samples:
    """The values of ``sound`` at fractional ``positions``.

    Args:
        sound: shape (channels, n), float32.
        positions: shape (m,), rising, in samples; each at least ``REACH`` and a half away from either end of ``sound``.

    Returns:
        Shape (channels, m), float32.
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
        # The sinc is even, so even powers of the fraction weigh both sides alike and odd ones oppose them.
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
    """Shape (REACH + 1, powers): tap ``k`` as a polynomial of the fraction, exact at the Chebyshev nodes."""
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
