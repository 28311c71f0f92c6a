"""Segments of a mix, also those that no honest worker writes."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.live.flv_tags import (
    MOST_CONFIGURATION_BYTES,
    MOST_SPAN_MS,
    MOST_TAG_BYTES,
    MOST_TAGS,
    SegmentError,
    Tag,
    read_tags,
)
from owtmix.rtmp.chunks import AUDIO, VIDEO
from tests.support.segments import make_segments, tags_of, to_segment, to_tag

KEY = to_tag(VIDEO, 1000, b"\x17\1\0\0\0key")
PICTURE = to_tag(VIDEO, 1040, b"\x27\1\0\0\0other")
SOUND = to_tag(AUDIO, 1000, b"\xaf\1sound")
SCRIPT = 18


def read(data: bytes) -> list[Tag]:
    return list(read_tags(io.BytesIO(data)))


def test_what_ffmpeg_wrote_comes_back_without_scripts_and_ends() -> None:
    for segment in make_segments(2, 1, start_ms=0x1000000, b_frames=2):
        media = [(kind, ms, data) for kind, ms, data in tags_of(segment) if kind != SCRIPT and len(data) > 5]
        found = read(segment)
        assert [tag.is_configuration for tag in found[:3]] == [True, True, False]
        assert [(tag.kind, tag.time_ms, tag.data) for tag in found] == media
        assert found[-1].time_ms > 0x1000000
        assert len(found) > 60


def test_scripts_pass_unread() -> None:
    hostile = to_tag(SCRIPT, 0, b"\x0a\xff\xff\xff\xff" * 1000)
    assert read(to_segment(hostile, SOUND, hostile, KEY)) == read(to_segment(SOUND, KEY))


def test_there_may_be_nothing() -> None:
    assert read(to_segment()) == []


@pytest.mark.parametrize(
    ("damage", "words", "good"),
    [
        (b"", "cut", 0),
        (b"\x1a\x45\xdf\xa3" + bytes(100), "no FLV", 0),
        (to_segment()[:8] + b"\x0a" + bytes(100), "no FLV", 0),
        (to_segment(KEY, to_tag(VIDEO, 0, b"\x27\1\0\0\0", size=5000)), "cut", 1),
        (to_segment(KEY, to_tag(SCRIPT, 0, b"", size=5000)), "cut", 1),
        (to_segment(KEY, to_tag(VIDEO, 0, b"\x27\1\0\0\0", size=MOST_TAG_BYTES + 1)), "too long", 1),
        (to_segment(KEY, PICTURE)[:-6], "cut", 1),
        (to_segment(KEY, PICTURE[:5]), "cut", 1),
        (to_segment(KEY, PICTURE[:-1] + b"\0"), "differ", 1),
        (to_segment(KEY, to_tag(0x20 | VIDEO, 0, bytes(9))), "unknown kind", 1),
        (to_segment(KEY, to_tag(VIDEO, 0, b"")), "too short", 1),
        (to_segment(KEY, to_tag(AUDIO, 0, b"\xaf")), "too short", 1),
        (to_segment(KEY, to_tag(AUDIO, 0, b"\x2f\1mp3")), "not AAC", 1),
        (to_segment(KEY, to_tag(VIDEO, 0, b"\x12\1\0\0\0vp6")), "not H.264", 1),
        (to_segment(KEY, to_tag(VIDEO, 0, b"\x90hvc1")), "not H.264", 1),
        (to_segment(KEY, to_tag(VIDEO, 0, b"\x57\1\0\0\0command")), "not H.264", 1),
        (to_segment(KEY, to_tag(VIDEO, 0, b"\x17\7\0\0\0")), "unknown", 1),
        (to_segment(to_tag(VIDEO, 0, b"\x17\0\0\0\0" + bytes(MOST_CONFIGURATION_BYTES))), "too long", 0),
        (to_segment(SOUND, PICTURE, KEY), "key frame", 1),
        (to_segment(KEY, to_tag(VIDEO, 1001 + MOST_SPAN_MS, b"\x27\1\0\0\0")), "far", 1),
        (to_segment(KEY, *[SOUND] * MOST_TAGS), "too many", MOST_TAGS),
        (to_segment(*[to_tag(SCRIPT, 0, b"")] * MOST_TAGS, KEY), "too many", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_said_after_what_is_good(damage: bytes, words: str, good: int) -> None:
    tags = read_tags(io.BytesIO(damage))
    for _ in range(good):
        next(tags)
    with pytest.raises(SegmentError, match=words):
        next(tags)


def test_nothing_long_is_read_before_it_is_refused() -> None:
    asked: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return super().read(size)

    with suppress(SegmentError):
        list(read_tags(Watched(to_segment(KEY, to_tag(VIDEO, 0, bytes(9), size=0xFFFFFF)))))
    assert 0 < max(asked) <= 13


def _mutated(change: Callable[[bytearray], None]) -> bytes:
    data = bytearray(to_segment(KEY, SOUND, PICTURE))
    change(data)
    return bytes(data)


@given(st.integers(0, 80), st.integers(0, 255))
def test_a_byte_that_is_changed_is_read_or_refused(at: int, value: int) -> None:
    def change(data: bytearray) -> None:
        data[at % len(data)] = value

    with suppress(SegmentError):
        assert all(len(tag.data) <= MOST_TAG_BYTES for tag in read(_mutated(change)))
