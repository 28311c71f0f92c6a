"""Chunks: whole GOPs, all frames once, none too short, near changes of the scene, whatever the machine."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from owtmix.chunks import cut

GOP = 30


@given(
    frames=st.integers(0, 50_000),
    shortest=st.integers(1, 2_000),
    changes=st.lists(st.integers(0, 50_000), max_size=20),
)
def test_every_frame_is_in_one_chunk_of_whole_gops(frames: int, shortest: int, changes: list[int]) -> None:
    chunks = cut(frames, GOP, shortest, changes)
    assert all(before.stop == after.start for before, after in pairwise(chunks))
    assert not frames or (chunks[0].start, chunks[-1].stop) == (0, frames)
    assert all(chunk.start % GOP == 0 for chunk in chunks)


@given(frames=st.integers(1, 50_000), shortest=st.integers(1, 2_000))
def test_a_chunk_is_neither_too_short_nor_too_long(frames: int, shortest: int) -> None:
    least = -(-shortest // GOP) * GOP
    chunks = cut(frames, GOP, shortest, [])
    assert all(least <= len(chunk) <= 2 * least for chunk in chunks[:-1])
    assert len(chunks[-1]) < 2 * least
    assert len(chunks[-1]) >= min(frames, least)


def test_a_minute_is_two_halves() -> None:
    assert cut(900, GOP, 450, []) == (range(450), range(450, 900))


def test_a_cut_is_made_at_the_gop_where_the_scene_changes() -> None:
    assert cut(3000, GOP, 450, [100, 605])[0] == range(600)


def test_nothing_is_cut_into_nothing() -> None:
    assert cut(0, GOP, 450, []) == ()
