"""Filter taps that scale one axis: integer weights, computed in integers.

Area averaging to shrink, bicubic with B 0, C 0.6 to enlarge (docs/semantics.md, "Picture"). The edge sample is
repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNIT_BITS: Final = 14
UNIT: Final = 1 << UNIT_BITS
"""The sum of the weights of a target sample."""

_BICUBIC_TAPS: Final = 4
_BICUBIC_C: Final = (3, 5)
"""As numerator and denominator."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FilterTaps:
    """For each of n target samples, its first source sample and the weights from there on.

    ``first`` is int64 (n,), ``weights`` int64 (n, taps); each row of ``weights`` adds up to ``UNIT``. All taps are
    inside the source.
    """

    first: Ints
    weights: Ints

    @property
    def taps(self) -> int:
        return int(self.weights.shape[1])

    def shifted(self, by: int) -> FilterTaps:
        """The taps for a source with ``by`` more samples at its start."""
        return FilterTaps(self.first + by, self.weights)

    def mirrored(self, source: int) -> FilterTaps:
        """The taps for a mirrored source of ``source`` samples."""
        return FilterTaps(source - self.first - self.taps, self.weights[:, ::-1])

    def after(self, inner: FilterTaps, source: int) -> FilterTaps:
        """Compose: ``inner``, which reads ``source`` samples, then this, in one step."""
        dense: Ints = np.zeros((len(self.first), source), np.int64)
        rows = np.arange(len(self.first))
        for j in range(self.taps):
            between = self.first + j
            for i in range(inner.taps):
                np.add.at(dense, (rows, inner.first[between] + i), self.weights[:, j] * inner.weights[between, i])
        return _trimmed(_quantised(dense, UNIT * UNIT))


def filter_taps(source: int, target: int) -> FilterTaps:
    """Taps that scale ``source`` samples to ``target``."""
    if source == target:
        return FilterTaps(np.arange(target), np.full((target, 1), UNIT))
    return _area(source, target) if target < source else _bicubic(source, target)


def _area(source: int, target: int) -> FilterTaps:
    """Area averaging, in units of which a source sample has ``target`` and a target sample ``source``."""
    start = np.arange(target)[:, np.newaxis] * source
    end = start + source
    first = start // target
    k = first + np.arange(-(-source // target) + 1)
    covered = (np.minimum((k + 1) * target, end) - np.maximum(k * target, start)).clip(0)
    return _clamped(first[:, 0], _quantised(covered, source), source)


def _bicubic(source: int, target: int) -> FilterTaps:
    """Bicubic; distances are in units of which a source sample has ``2 * target``."""
    centre = (2 * np.arange(target) + 1)[:, np.newaxis] * source - target
    one = 2 * target
    first = centre // one - 1
    x = np.abs(centre - (first + np.arange(_BICUBIC_TAPS)) * one)
    c, parts = _BICUBIC_C
    near = (2 * parts - c) * x**3 - (3 * parts - c) * x**2 * one + parts * one**3
    far = -c * (x**3 - 5 * x**2 * one + 8 * x * one**2 - 4 * one**3)
    kernel = np.where(x < one, near, np.where(x < 2 * one, far, 0))
    return _clamped(first[:, 0], _quantised(kernel, parts * one**3), source)


def _quantised(weights: Ints, total: int) -> Ints:
    """Scale rows that add up to ``total`` to rows that add up to ``UNIT``, by rounding their running sums half up."""
    sums = (2 * UNIT * weights.cumsum(axis=1) + total) // (2 * total)
    rounded: Ints = np.diff(sums, axis=1, prepend=0)
    return rounded


def _clamped(first: Ints, weights: Ints, source: int) -> FilterTaps:
    """Move taps from outside of the source to its edge samples."""
    taps = min(weights.shape[1], source)
    start = first.clip(0, source - taps)
    inside: Ints = np.zeros((len(first), taps), np.int64)
    rows = np.arange(len(first))
    for j in range(weights.shape[1]):
        np.add.at(inside, (rows, (first + j).clip(0, source - 1) - start), weights[:, j])
    return FilterTaps(start, inside)


def _trimmed(dense: Ints) -> FilterTaps:
    """The taps of a weight matrix ``dense`` (n, source), without the zeros at both ends."""
    count, source = dense.shape
    used = dense != 0
    start = used.argmax(axis=1)
    taps = int((source - used[:, ::-1].argmax(axis=1) - start).max())
    first = start.clip(0, source - taps)
    return FilterTaps(first, dense[np.arange(count)[:, np.newaxis], first[:, np.newaxis] + np.arange(taps)])
