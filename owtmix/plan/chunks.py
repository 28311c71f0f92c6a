"""Where the picture is cut into chunks, which are composed and encoded each for itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise


def cut_chunks(frames: int, gop: int, least: int, changes: Sequence[int]) -> tuple[range, ...]:
    """Cut ``frames`` frames at multiples of ``gop``; the same everywhere, however many workers there are.

    A chunk has at least ``least`` groups of pictures and fewer than twice as many, unless the whole picture has fewer.
    Among the places where one may end, the first is taken that follows a scene change within one group: a joint is
    seen least where the picture changes anyway. Where there is none, the chunk is as short as may be.

    Args:
        frames: of the whole picture.
        gop: frames of a group.
        least: groups of the shortest chunk, at least 1.
        changes: rising numbers of the frames that begin a scene.
    """
    groups = -(-frames // gop)
    starts = [0]
    while groups - starts[-1] >= 2 * least:
        first = starts[-1] + least
        places = range(first, min(first + least, groups - least + 1))
        starts.append(next((place for place in places if _follows_change(place * gop, gop, changes)), first))
    edges = [*(start * gop for start in starts), frames]
    return tuple(range(start, stop) for start, stop in pairwise(edges))


def _follows_change(frame: int, gop: int, changes: Sequence[int]) -> bool:
    """Whether a scene begins at ``frame`` or less than ``gop`` frames before it."""
    position = bisect_right(changes, frame)
    return position > 0 and frame - changes[position - 1] < gop
