"""How samples are weighed when an axis is scaled: whole numbers, found by whole-number arithmetic alone.

Shrinking averages areas, enlarging is bicubic with B 0, C 0.6 (semantics.md, "Picture"). The edge sample is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNIT_BITS: Final = 14
UNIT: Final = 1 << UNIT_BITS
"""What the weights of a target sample add up to."""

_REACH: Final = 4
"""Samples under the bicubic kernel."""
_SHARPNESS: Final = (3, 5)
"""The kernel's C, as a fraction."""

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FilterTaps:
    """For each of n target samples, the source samples ``first``.. that it is made of, and their weights.

    ``first`` is (n,), ``weights`` (n, taps); each row of ``weights`` adds up to ``UNIT``. Every window lies inside
    the source.
    """

    first: Whole
    weights: Whole

    @property
    def taps(self) -> int:
        return int(self.weights.shape[1])

    def moved(self, by: int) -> FilterTaps:
        """The same in a longer source, of which ``by`` samples come before."""
        return FilterTaps(self.first + by, self.weights)

    def mirrored(self, source: int) -> FilterTaps:
        """The same in the source of length ``source`` read from its end."""
        return FilterTaps(source - self.first - self.taps, self.weights[:, ::-1])

    def after(self, inner: FilterTaps, source: int) -> FilterTaps:
        """First ``inner``, from ``source`` samples to those that this reads, then this: one step in place of two."""
        dense: Whole = np.zeros((len(self.first), source), np.int64)
        rows = np.arange(len(self.first))
        for j in range(self.taps):
            between = self.first + j
            for i in range(inner.taps):
                np.add.at(dense, (rows, inner.first[between] + i), self.weights[:, j] * inner.weights[between, i])
        return _narrowed(_quantised(dense, UNIT * UNIT))


def filter_taps(source: int, target: int) -> FilterTaps:
    """From ``source`` samples to ``target``."""
    if source == target:
        return FilterTaps(np.arange(target), np.full((target, 1), UNIT))
    return _areas(source, target) if target < source else _bicubic(source, target)


def _areas(source: int, target: int) -> FilterTaps:
    """A source sample is ``target`` units wide, a target sample ``source`` units."""
    start = np.arange(target)[:, np.newaxis] * source
    end = start + source
    first = start // target
    k = first + np.arange(-(-source // target) + 1)
    covered = (np.minimum((k + 1) * target, end) - np.maximum(k * target, start)).clip(0)
    return _inside(first[:, 0], _quantised(covered, source), source)


def _bicubic(source: int, target: int) -> FilterTaps:
    """Distances are in units of half a target sample's width, ``2 * target`` of which are a source sample."""
    centre = (2 * np.arange(target) + 1)[:, np.newaxis] * source - target
    one = 2 * target
    first = centre // one - 1
    x = np.abs(centre - (first + np.arange(_REACH)) * one)
    c, parts = _SHARPNESS
    near = (2 * parts - c) * x**3 - (3 * parts - c) * x**2 * one + parts * one**3
    far = -c * (x**3 - 5 * x**2 * one + 8 * x * one**2 - 4 * one**3)
    kernel = np.where(x < one, near, np.where(x < 2 * one, far, 0))
    return _inside(first[:, 0], _quantised(kernel, parts * one**3), source)


def _quantised(weights: Whole, total: int) -> Whole:
    """Rows that add up to ``total`` as rows that add up to ``UNIT``: their running sums are rounded, half up."""
    sums = (2 * UNIT * weights.cumsum(axis=1) + total) // (2 * total)
    whole: Whole = np.diff(sums, axis=1, prepend=0)
    return whole


def _inside(first: Whole, weights: Whole, source: int) -> FilterTaps:
    """The windows moved into the source; what lay outside of it counts for its edge."""
    taps = min(weights.shape[1], source)
    moved = first.clip(0, source - taps)
    inside: Whole = np.zeros((len(first), taps), np.int64)
    rows = np.arange(len(first))
    for j in range(weights.shape[1]):
        np.add.at(inside, (rows, (first + j).clip(0, source - 1) - moved), weights[:, j])
    return FilterTaps(moved, inside)


def _narrowed(dense: Whole) -> FilterTaps:
    """Windows as narrow as what is not 0 in ``dense`` (n, source) allows."""
    count, source = dense.shape
    used = dense != 0
    start = used.argmax(axis=1)
    taps = int((source - used[:, ::-1].argmax(axis=1) - start).max())
    first = start.clip(0, source - taps)
    return FilterTaps(first, dense[np.arange(count)[:, np.newaxis], first[:, np.newaxis] + np.arange(taps)])
