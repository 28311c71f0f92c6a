"""Division into chunks: at GOP boundaries, after scene changes if possible."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from owtmix.plan.chunks import cut_chunks

GOP = 30


def ends(frames: int, least: int, changes: list[int]) -> list[int]:
    return [chunk.stop for chunk in cut_chunks(frames, GOP, least, changes)]


def test_a_picture_shorter_than_two_chunks_is_one() -> None:
    assert cut_chunks(1, GOP, 15, [0]) == (range(1),)
    assert cut_chunks(GOP * 29, GOP, 15, [0, 500]) == (range(GOP * 29),)


def test_a_minute_is_two_halves() -> None:
    assert ends(GOP * 30, 15, [0]) == [GOP * 15, GOP * 30]


def test_without_changes_chunks_are_short_and_the_last_takes_the_rest() -> None:
    assert ends(GOP * 50 + 7, 15, [0]) == [GOP * 15, GOP * 30, GOP * 50 + 7]


def test_a_joint_lies_in_the_group_after_a_scene_change() -> None:
    assert ends(GOP * 60, 15, [0, GOP * 18 + 1])[0] == GOP * 19
    assert ends(GOP * 60, 15, [0, GOP * 18])[0] == GOP * 18
    assert ends(GOP * 60, 15, [0, GOP * 14 + 1])[0] == GOP * 15
    assert ends(GOP * 60, 15, [0, GOP * 40])[0] == GOP * 15


@given(
    frames=st.integers(1, 5000),
    gop=st.integers(1, 60),
    least=st.integers(1, 20),
    changes=st.lists(st.integers(0, 5000), max_size=40),
)
def test_chunks_cover_the_picture(frames: int, gop: int, least: int, changes: list[int]) -> None:
    chunks = cut_chunks(frames, gop, least, sorted(changes))
    assert chunks[0].start == 0
    assert chunks[-1].stop == frames
    assert all(before.stop == after.start for before, after in pairwise(chunks))
    assert all(chunk.start % gop == 0 for chunk in chunks)
    groups = [-(-len(chunk) // gop) for chunk in chunks]
    assert all(count < 2 * least for count in groups)
    assert len(groups) == 1 or all(count >= least for count in groups)
