"""The tags of a segment of a live mix: a file of FLV (Adobe's FLV specification 10.1, annex E) with H.264 and AAC.

A confined worker wrote it, which strangers' media may have taken over. Only heads are read, and all that is in them is
checked: kinds, sizes, times. What is in tags passes as it is; scripts are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from owtmix.rtmp.chunks import AUDIO, VIDEO

MOST_TAG_BYTES: Final = 4 << 20
"""Of a tag: a key frame of 8K at a high bit rate. Many servers take less."""
MOST_CONFIGURATION_BYTES: Final = 1 << 16
MOST_TAGS: Final = 20_000
MOST_SPAN_MS: Final = 60_000
"""From the first tag of a segment to its last one."""

_HEADER: Final = b"FLV\x01"
_HEADER_BYTES: Final = 9
_HEAD_BYTES: Final = 11
_SIZE_BYTES: Final = 4
_SCRIPT: Final = 18
_SHORTEST: Final = {AUDIO: 2, VIDEO: 5}
_AAC: Final = 10
_H264: Final = 7
_KEY: Final = 1
_FRAMES: Final = frozenset({1, 2, 3})
"""Kinds of pictures: key frames, others, and those that no other needs."""
_CONFIGURATION: Final = 0
_MEDIA: Final = 1
_END: Final = 2


class SegmentError(Exception):
    """A segment that is damaged, or none; the message says how."""


class Tag(NamedTuple):
    """A picture, a frame of sound, or the configuration of either, whose time says nothing.

    ``kind`` is as of messages of RTMP.
    """

    kind: int
    time_ms: int
    is_configuration: bool
    data: bytes


def read_tags(file: BinaryIO) -> Iterator[Tag]:
    """The tags of a segment, one at a time. The first picture is a key frame.

    Raises:
        SegmentError: there is damage, or what no mix has; what came before was good.
        OSError: it cannot be read.
    """
    head = _read(file, _HEADER_BYTES + _SIZE_BYTES)
    if not head.startswith(_HEADER) or int.from_bytes(head[5:9], "big") != _HEADER_BYTES:
        raise SegmentError("it is no FLV")
    has_key, first_ms = False, None
    for _ in range(MOST_TAGS):
        tag = _tag(file)
        if tag is None:
            return
        if not tag.data:
            continue
        if not tag.is_configuration:
            first_ms = tag.time_ms if first_ms is None else first_ms
            if abs(tag.time_ms - first_ms) > MOST_SPAN_MS:
                raise SegmentError("a time is far from the others")
            has_key |= tag.kind == VIDEO and tag.data[0] >> 4 == _KEY
            if tag.kind == VIDEO and not has_key:
                raise SegmentError("it does not begin with a key frame")
        yield tag
    raise SegmentError("it has too many tags")


def _tag(file: BinaryIO) -> Tag | None:
    """The next tag, None at the end of the file; without data where it is none to send."""
    head = file.read(_HEAD_BYTES)
    if not head:
        return None
    if len(head) < _HEAD_BYTES:
        raise SegmentError("a tag is cut")
    kind, size = head[0], int.from_bytes(head[1:4], "big")
    time_ms = int.from_bytes(head[7:8] + head[4:7], "big")
    if kind not in {AUDIO, VIDEO, _SCRIPT}:
        raise SegmentError("a tag is of an unknown kind")
    if size > MOST_TAG_BYTES:
        raise SegmentError("a tag is too long")
    if kind == _SCRIPT:
        file.seek(size, os.SEEK_CUR)
        data = b""
    else:
        data = _read(file, size)
    if int.from_bytes(_read(file, _SIZE_BYTES), "big") != _HEAD_BYTES + size:
        raise SegmentError("the lengths of a tag differ")
    if kind == _SCRIPT:
        return Tag(kind, time_ms, is_configuration=False, data=b"")
    return _checked(kind, time_ms, data)


def _checked(kind: int, time_ms: int, data: bytes) -> Tag:
    if len(data) < _SHORTEST[kind]:
        raise SegmentError("a tag is too short")
    if kind == AUDIO and data[0] >> 4 != _AAC:
        raise SegmentError("its sound is not AAC")
    if kind == VIDEO and (data[0] & 0xF != _H264 or data[0] >> 4 not in _FRAMES):
        raise SegmentError("its picture is not H.264")
    what = data[1]
    if what == _END and kind == VIDEO:  # each file says that its pictures are over; the mix goes on
        return Tag(kind, time_ms, is_configuration=False, data=b"")
    if what not in {_CONFIGURATION, _MEDIA}:
        raise SegmentError("a tag has something unknown")
    if what == _CONFIGURATION and len(data) > MOST_CONFIGURATION_BYTES:
        raise SegmentError("a configuration is too long")
    return Tag(kind, time_ms, what == _CONFIGURATION, data)


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise SegmentError("a tag is cut")
    return data
