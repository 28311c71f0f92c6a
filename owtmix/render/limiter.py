"""A look-ahead limiter: the true peak of the mix stays below the ceiling (docs/semantics.md, "Sound").

Sound below the ceiling is not changed. Above it, the gain falls smoothly before a peak, holds through the peak and
recovers slowly. Both channels get the same gain, so that the stereo image does not move.

All work uses a fixed grid of blocks and only elementwise arithmetic: the result depends neither on the size of incoming
blocks nor on the machine's linear algebra library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.plan.model import SAMPLE_RATE_HZ

CEILING_DB: Final = -1.0
"""True peak that the output stays below, in dB of full scale."""

DETECTION_MARGIN_DB: Final = 0.3
"""Four times oversampling can miss the top of a peak by this much. Limiting starts this much below the ceiling."""

LOOK_AHEAD: Final = SAMPLE_RATE_HZ * 5 // 1000
"""Samples, 5 ms, over which the gain falls: short enough to be inaudible, long enough to avoid a click."""

RELEASE_PER_S: Final = 1.0
"""Gain that is restored per second; 6 dB take half a second. A faster release would follow the waves of low voices."""

BLOCK: Final = 8192
"""Samples of the grid."""

Samples = NDArray[np.float32]

_REACH: Final = 12
"""Samples on either side that the peak between two samples is computed from."""

_KAISER_BETA: Final = 5.0

_THRESHOLD: Final = 10 ** ((CEILING_DB - DETECTION_MARGIN_DB) / 20)
_WINDOW: Final = _REACH + BLOCK + LOOK_AHEAD + _REACH


class Limiter:
    """Limits a stream of sound that comes block after block, without delay but for what it needs to look ahead."""

    def __init__(self) -> None:
        self._held: Samples | None = None
        self._smoother = _GainSmoother()

    def push(self, block: Samples) -> Iterator[Samples]:
        """Take the next block: shape (channels, any number), float32, full scale 1.0, finite, at 48 kHz.

        Yields:
            What is limited by now, in blocks of ``BLOCK``.
        """
        before = np.zeros((len(block), _REACH), np.float32) if self._held is None else self._held
        self._held = np.concatenate((before, block), axis=1)
        while self._held.shape[1] >= _WINDOW:
            yield self._limited(self._held[:, :_WINDOW], BLOCK)
            self._held = self._held[:, BLOCK:]

    def finish(self) -> Iterator[Samples]:
        """Yields what is left, in blocks of ``BLOCK`` and a shorter last one."""
        while self._held is not None and self._held.shape[1] > _REACH:
            window = np.zeros((len(self._held), _WINDOW), np.float32)
            window[:, : self._held.shape[1]] = self._held[:, :_WINDOW]
            yield self._limited(window, min(BLOCK, self._held.shape[1] - _REACH))
            self._held = self._held[:, BLOCK:]

    def _limited(self, window: Samples, count: int) -> Samples:
        """The first ``count`` samples of a block of the grid; ``window`` has those around it that decide its gain."""
        # Between samples the sound exceeds the largest sample by at most the filter's gain.
        quiet = max(window.max(), -window.min()) * _WORST_GAIN <= _THRESHOLD
        excess = None if quiet else 1 - _THRESHOLD / np.maximum(_true_peaks(window), _THRESHOLD)
        gain = self._smoother.follow(excess)
        block = window[:, _REACH : _REACH + count]
        return block if gain is None else block * gain[:count]


def limit(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Limit a stream of sound.

    Args:
        blocks: as ``Limiter.push`` takes them.

    Yields:
        As many samples, without delay, in blocks of ``BLOCK`` and a shorter last one.
    """
    limiter = Limiter()
    for block in blocks:
        yield from limiter.push(block)
    yield from limiter.finish()


class _GainSmoother:
    """Turns the reduction that each sample needs into a smooth gain, block after block."""

    def __init__(self) -> None:
        self._before: NDArray[np.float64] | None = None

    def follow(self, excess: NDArray[np.float64] | None) -> NDArray[np.float32] | None:
        """The gain of a block.

        Args:
            excess: shape (BLOCK + LOOK_AHEAD,), 0..1, the reduction that each sample of the block, and of the samples
                after it, needs; None for none.

        Returns:
            Shape (BLOCK,), float32, above 0 and at most 1; None for 1 throughout.
        """
        if excess is None:
            excess = np.zeros(BLOCK + LOOK_AHEAD)
        if self._before is None:
            # When the sound starts with a peak, the gain is reduced from the start.
            self._before = np.maximum.accumulate(excess[:LOOK_AHEAD])
        if not (excess.any() or self._before.any()):
            return None
        held = _sliding_max(excess, LOOK_AHEAD + 1)
        # A straight release is a running maximum in coordinates that fall with it.
        fall = np.arange(BLOCK + 1) * (RELEASE_PER_S / SAMPLE_RATE_HZ)
        released = np.maximum.accumulate(np.concatenate((self._before[-1:], held)) + fall) - fall
        reduction = np.concatenate((self._before, released[1:]))
        self._before = reduction[-LOOK_AHEAD:]
        # Two box averages make an S of every step; together they reach back as far as the hold reaches ahead.
        half = LOOK_AHEAD // 2 + 1
        smooth = _sliding_mean(_sliding_mean(reduction, half), half)
        return (1 - smooth).astype(np.float32)


def _sliding_max(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The largest of each ``width`` neighbours, shape (n - width + 1,)."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        values = np.maximum(values[:-step], values[step:])
        reach += step
    return values


def _sliding_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The mean of each ``width`` neighbours, shape (n - width + 1,); exactly 0 where all are."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return np.asarray((sums[width:] - sums[:-width]) / width)


def _true_peaks(window: Samples) -> NDArray[np.float64]:
    """The largest magnitude from each sample up to the next, over all channels, four times oversampled (ITU-R BS.1770).

    Shape (n - 2 * _REACH,): the margins of the window are only read by the filter.
    """
    count = window.shape[1] - 2 * _REACH
    peaks = np.abs(window[:, _REACH : _REACH + count])
    quarter, half, three_quarters = np.zeros((3, *peaks.shape), np.float32)
    for k, (near, middle, far) in enumerate(_TAPS):
        earlier = window[:, _REACH - k :][:, :count]
        later = window[:, _REACH + 1 + k :][:, :count]
        quarter += near * earlier
        quarter += far * later
        half += middle * (earlier + later)
        three_quarters += far * earlier
        three_quarters += near * later
    for between in (quarter, half, three_quarters):
        np.maximum(peaks, np.abs(between), out=peaks)
    return np.asarray(peaks.max(axis=0), np.float64)


def _taps() -> NDArray[np.float32]:
    """Shape (_REACH, 3): weights of the k-th sample before a point a quarter, half or three quarters on.

    The weights of the k-th sample after it are the same in reverse.
    """
    distance = np.arange(_REACH)[:, None] + np.array([0.25, 0.5, 0.75])
    taps = np.sinc(distance) * np.i0(_KAISER_BETA * np.sqrt(1 - (distance / _REACH) ** 2))
    taps /= taps.sum(axis=0) + taps[:, ::-1].sum(axis=0)
    return np.asarray(taps, np.float32)


_TAPS: Final = _taps()
_WORST_GAIN: Final = float((np.abs(_TAPS) + np.abs(_TAPS[:, ::-1])).sum(axis=0).max())
