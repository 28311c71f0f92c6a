"""Division of the picture into chunks, which are composed and encoded independently (docs/semantics.md, "Rate")."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise


def cut_chunks(frames: int, gop: int, least: int, changes: Sequence[int]) -> tuple[range, ...]:
    """Cut ``frames`` frames into chunks at multiples of ``gop``, independently of the number of workers.

    A chunk has at least ``least`` groups of pictures (GOPs) and fewer than twice as many, unless the whole picture is
    shorter. It ends at the first GOP boundary less than one GOP after a scene change, where a joint is least visible;
    without such a boundary it is as short as possible.

    Args:
        frames: Number of frames of the whole picture.
        gop: Frames per GOP.
        least: GOPs of the shortest chunk, at least 1.
        changes: Numbers of the frames that begin a scene, sorted.
    """
    groups = -(-frames // gop)
    starts = [0]
    while groups - starts[-1] >= 2 * least:
        first = starts[-1] + least
        candidates = range(first, min(first + least, groups - least + 1))
        starts.append(next((group for group in candidates if _follows_change(group * gop, gop, changes)), first))
    edges = [*(start * gop for start in starts), frames]
    return tuple(range(start, stop) for start, stop in pairwise(edges))


def _follows_change(frame: int, gop: int, changes: Sequence[int]) -> bool:
    """Whether a scene begins at ``frame`` or less than ``gop`` frames before it."""
    position = bisect_right(changes, frame)
    return position > 0 and frame - changes[position - 1] < gop
