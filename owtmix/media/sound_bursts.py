"""Finds the surplus of bursts: sound that was held back, arrives at once, and has more media than its stamps have time.

Lateness is the timestamp minus the duration of the media so far. It rises at a hole, has spikes with jitter, and falls
where more media comes than time passes. What is stamped right after a burst keeps its time, so the surplus goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_DRIFT: Final = 0.005
"""Sound that is faster or slower than its timestamps by more than this is not corrected, but cut (or has holes)."""
CUT_S: Final = 0.04
"""Less surplus than this is not worth a cut."""
JITTER_PACKETS: Final = 32
"""Shorter bursts are network jitter: the packets are counted, and nothing is lost."""
ROUNDING_S: Final = 0.002
"""Timestamps are rounded by at most this."""
LEVEL_S: Final = 5.0
"""The usual lateness is taken over this, so that jitter cancels out."""
LONGEST_BURST_S: Final = 1.0
"""Stamps of one burst lie within this. Sound that is too fast for longer is cut again and again."""


def surplus(stamps_s: NDArray[np.float64], lengths_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The packets to be left out: bool (n,).

    Args:
        stamps_s: float64 (n,), when each packet is presented.
        lengths_s: float64 (n,), above 0, how long it lasts.
    """
    dropped = np.zeros(len(stamps_s), np.bool_)
    # Bursts first, by the earliest packets; then what jitters so much that only its level tells.
    for level_of in (_earliest_level, _usual_level):
        kept = np.flatnonzero(~dropped)
        for first, after in _falls(stamps_s[kept], lengths_s[kept], level_of) if len(kept) else ():
            dropped[kept[first:after]] = True
    return dropped


_LevelOf = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""The level of lateness at each packet, from the timestamps and the lateness of all."""


def _falls(stamps_s: NDArray[np.float64], lengths_s: NDArray[np.float64], level_of: _LevelOf) -> list[tuple[int, int]]:
    """Ranges of packets, ``(first, after)``, that lateness falls by too fast."""
    counted = np.concatenate(([0.0], np.cumsum(lengths_s)))
    lateness = stamps_s - counted[:-1]
    allowed = level_of(stamps_s, lateness) + MAX_DRIFT * counted[:-1]
    if np.max(allowed - np.minimum.accumulate(allowed[::-1])[::-1]) <= CUT_S:
        return []
    found: list[tuple[int, int]] = []
    highest = allowed[0]
    at = 1
    while at < len(allowed):
        highest = max(highest, allowed[at])
        if highest - allowed[at] <= CUT_S:
            at += 1
            continue
        first, after = _burst(lateness, allowed, stamps_s, at)
        surplus_s = float(highest - allowed[after])
        dropped = int(np.searchsorted(counted, counted[first] + surplus_s - ROUNDING_S))
        found.append((first, max(dropped, first + 1)))
        highest = allowed[after]
        at = max(after, dropped) + 1
    return found


def _earliest_level(_: NDArray[np.float64], lateness: NDArray[np.float64]) -> NDArray[np.float64]:
    return without_spikes(lateness, JITTER_PACKETS)


def _usual_level(stamps_s: NDArray[np.float64], lateness: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of each ``LEVEL_S``."""
    edges = np.flatnonzero(np.diff(np.floor(stamps_s / LEVEL_S))) + 1
    medians = [float(np.median(part)) for part in np.split(lateness, edges)]
    return np.repeat(medians, np.diff([0, *edges, len(lateness)]))


def without_spikes(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """``values`` without rises that are shorter than ``width`` items (a morphological opening)."""
    width = min(width, len(values))
    lowest = np.lib.stride_tricks.sliding_window_view(values, width).min(axis=1)
    edge = np.full(width - 1, -np.inf)
    padded = np.concatenate((edge, lowest, edge))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, width).max(axis=1))


def _burst(
    lateness: NDArray[np.float64], allowed: NDArray[np.float64], stamps_s: NDArray[np.float64], at: int
) -> tuple[int, int]:
    """The burst that contains packet ``at``: its first packet, and the first one that is stamped right again."""
    first = at - 1
    while first > 0 and stamps_s[at] - stamps_s[first - 1] <= LONGEST_BURST_S and lateness[first - 1] > lateness[first]:
        first -= 1
    after = at
    while (
        after + 1 < len(allowed)
        and allowed[after + 1] < allowed[after]
        and stamps_s[after + 1] - stamps_s[first] <= LONGEST_BURST_S
    ):
        after += 1
    return first, after
