"""Names of files, and durations of packets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.ids import StreamId
from owtmix.jobfile.object_key import normal_key
from owtmix.recorder.names import file_name
from owtmix.recorder.opus_packet import samples_in
from tests.recorder.senders import SAMPLES, Sender, sounds


@pytest.mark.parametrize(
    ("stream", "session", "part", "name"),
    [
        (StreamId("alice", 1), "a1b2", 0, "alice_1-a1b2.webm"),
        (StreamId("alice", 2), "a1b2", 3, "alice_2-a1b2-3.webm"),
        (StreamId("PR50.12_x-y", 1), "Z9", 0, "PR50.12_x-y_1-Z9.webm"),
        (StreamId("王 ~/..", 1), "s", 0, "~E7~8E~8B~20~7E~2F.._1-s.webm"),
        (StreamId("..", 1), "s", 0, "~2E._1-s.webm"),
    ],
)
def test_names_are_plain_and_recognisable(stream: StreamId, session: str, part: int, name: str) -> None:
    assert file_name(stream, session, part, "webm") == name


@given(st.text(max_size=200), st.text(max_size=300), st.integers(0, 999_999))
def test_any_text_gives_a_name_that_every_store_takes(user: str, session: str, part: int) -> None:
    name = file_name(StreamId(user, 1), session, part, "mp4")
    assert re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*", name)
    assert len(name) < 200
    assert normal_key(name) == name


def test_sessions_never_share_a_name() -> None:
    alice = StreamId("alice", 1)
    sessions = ["a", "b", "é", "ê", "x" * 33, "x" * 34]
    assert len({file_name(alice, session, part, "mp4") for session in sessions for part in range(3)}) == 18


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"", 0),
        (b"\x00", 480),
        (b"\x18", 2880),
        (b"\x60", 480),
        (b"\x68", 960),
        (b"\x80", 120),
        (b"\xf8", 960),
        (b"\xf9", 1920),
        (b"\xfa", 1920),
        (b"\xfb", 0),
        (b"\xfb\x03", 2880),
        (b"\xfb\x83", 2880),
        (b"\xfb\x07", 0),
        (b"\x1b\x02", 5760),
        (b"\x83\x30", 5760),
    ],
)
def test_the_first_bytes_tell_how_long_a_packet_is(packet: bytes, samples: int) -> None:
    assert samples_in(packet) == samples


def test_packets_of_an_encoder_have_the_length_that_it_was_told() -> None:
    packets = sounds(Sender("a_1", length_ms=200, codec=None))
    assert {samples_in(packet) for packet in packets} == {SAMPLES}
