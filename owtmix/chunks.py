"""Where the picture is cut into pieces that are composed and encoded by themselves.

The cuts depend on the plan alone, never on the machine: the same plan gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LENGTH_S: Final = 30
"""A chunk lasts at least this long, and at most twice as long."""


def cut(frames: int, gop: int, shortest: int, changes: Sequence[int]) -> tuple[range, ...]:
    """Cut ``frames`` frames into chunks of whole GOPs, near changes of the scene where there are any.

    Args:
        frames: how many there are; none make no chunk.
        gop: frames of a GOP.
        shortest: frames that a chunk has at least; it has at most twice as many, rounded up to GOPs.
        changes: the first frames of scenes.

    Returns:
        Chunks in order, without gaps; all but the last end with a GOP.
    """
    shortest = max(gop, -(-shortest // gop) * gop)
    chunks: list[range] = []
    start = 0
    while frames - start >= 2 * shortest:
        ends = range(start + shortest, min(start + 2 * shortest, frames - shortest) + 1, gop)
        end = min(ends, key=lambda end: (min((abs(end - change) for change in changes), default=frames) >= gop, end))
        chunks.append(range(start, end))
        start = end
    if start < frames:
        chunks.append(range(start, frames))
    return tuple(chunks)
