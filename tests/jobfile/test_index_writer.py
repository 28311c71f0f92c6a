"""An index that is written is the index that is read."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.ids import StreamId
from owtmix.jobfile.index import Index, Recording
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.index_writer import index_text

BEGIN_MS = 1_795_327_385_123
_USERS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40)


@given(
    st.lists(
        st.tuples(
            _USERS, st.integers(1, 2), st.integers(0, 80_000_000), st.none() | st.integers(1, 80_000_000), _USERS
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["", "recordings", "a/b c/王"]),
)
def test_what_is_written_is_read(entries: list[tuple[str, int, int, int | None, str]], root: str) -> None:
    files = tuple(
        Recording(
            StreamId.parse(f"{user}_{kind}"),
            f"{root}/{number}.webm".lstrip("/"),
            Fraction(BEGIN_MS + start, 1000),
            None if lasts is None else Fraction(BEGIN_MS + start + lasts, 1000),
            name,
        )
        for number, (user, kind, start, lasts, name) in enumerate(entries)
    )
    index = Index("job", "room", "epoch-milliseconds", files, ())
    found = read_index(index_text(index, root), strict=True)
    assert replace(found, scale=None) == index


def test_it_has_the_keys_of_the_document() -> None:
    file = Recording(StreamId("alice", 1), "a/b/x.webm", Fraction(BEGIN_MS, 1000), None)
    document = json.loads(index_text(Index("job", "room", "epoch-milliseconds", (file,), ()), "a"))
    assert document == {
        "JobId": "job",
        "RoomId": "room",
        "StartTime": BEGIN_MS,
        "Root": "a",
        "Files": [{"StreamId": "alice_1", "Name": "b/x.webm", "StartTime": BEGIN_MS}],
    }


def test_what_cannot_be_written_is_refused() -> None:
    file = Recording(StreamId("alice", 1), "a/x.webm", Fraction(1, 3), None)
    for wrong, root in ((file, "a"), (replace(file, start_s=Fraction(BEGIN_MS)), "b")):
        with pytest.raises(ValueError, match=r"x\.webm|milliseconds"):
            index_text(Index("job", "room", "epoch-milliseconds", (wrong,), ()), root)
