"""What messages of RTMP have (Adobe's FLV specification 10.1, annex E): access units of H.264, and frames of AAC."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from owtmix.recorder.aac_packet import AacError, AacFormat
from owtmix.recorder.journal import MAX_FRAME_BYTES
from owtmix.recorder.rtmp.records import MOST_LEAD_MS, MediaRecord
from owtmix.rtmp.chunks import AUDIO, VIDEO, Message

MOST_SETS: Final = 32
"""Parameter sets of H.264 in a configuration."""

_START: Final = b"\0\0\0\1"
_H264: Final = 7
_AAC: Final = 10
_ENHANCED: Final = 0x80
_CONFIGURATION: Final = 0
_UNITS: Final = 1
_SHORTEST_PICTURE: Final = 5
_SHORTEST_SOUND: Final = 2
_IDR: Final = 5
_SEQUENCE_SET: Final = 7
_UNIT_TYPE: Final = 0x1F
_TIMES: Final = 1 << 32


class MediaError(Exception):
    """A message that is not recorded; it costs only itself."""


class MediaReader:
    """Makes records of messages. Pictures begin with a key frame, and each key frame has its parameter sets.

    ``timeline`` of a record tells the configurations of its track apart.
    """

    def __init__(self) -> None:
        self._picture = _Picture()
        self._sound = _Sound()
        self._time_ms: int | None = None

    def records(self, message: Message) -> Iterator[MediaRecord]:
        """The record of a message, if it has one.

        Raises:
            MediaError: it has something else than H.264 and AAC, or damage.
        """
        if message.kind not in {VIDEO, AUDIO} or not message.data:
            return
        time_ms = self._unwrapped(message.time_ms)
        made = (self._picture if message.kind == VIDEO else self._sound).record(time_ms, message.data)
        if made:
            yield made

    def _unwrapped(self, time_ms: int) -> int:
        """The time of a message without wrapping: that which is nearest to the last one."""
        last_ms = time_ms if self._time_ms is None else self._time_ms
        ahead_ms = (time_ms - last_ms + _TIMES // 2) % _TIMES - _TIMES // 2
        self._time_ms = last_ms + ahead_ms
        return self._time_ms


class _Picture:
    def __init__(self) -> None:
        self._configuration = b""
        self._sets = b""
        self._length_bytes = 4
        self._timeline = 0
        self._has_begun = False

    def record(self, time_ms: int, data: bytes) -> MediaRecord | None:
        if data[0] & _ENHANCED or data[0] & 0xF != _H264:
            raise MediaError("its picture is not H.264, and not recorded")
        if len(data) < _SHORTEST_PICTURE:
            raise MediaError("a picture is cut")
        kind, body = data[1], data[_SHORTEST_PICTURE:]
        if kind == _CONFIGURATION:
            self._configure(body)
        if kind != _UNITS or not self._sets:
            return None
        units = list(_units(body, self._length_bytes))
        types = {unit[0] & _UNIT_TYPE for unit in units}
        is_key = _IDR in types
        if not units or not (self._has_begun or is_key):
            return None
        self._has_begun = True
        unit_bytes = _START + _START.join(units)
        if is_key and _SEQUENCE_SET not in types:
            unit_bytes = self._sets + unit_bytes
        if len(unit_bytes) > MAX_FRAME_BYTES:
            raise MediaError("a picture is too long")
        lead_ms = int.from_bytes(data[2:5], "big", signed=True)
        if not 0 <= lead_ms <= MOST_LEAD_MS:
            raise MediaError("a picture is shown at an absurd time")
        return MediaRecord("video", is_key, self._timeline, time_ms + lead_ms, lead_ms, unit_bytes)

    def _configure(self, body: bytes) -> None:
        """Take an AVCDecoderConfigurationRecord (ISO/IEC 14496-15)."""
        if body == self._configuration:
            return
        self._length_bytes, self._sets = _parameter_sets(body)
        self._timeline, self._configuration = zlib.crc32(body), body
        self._has_begun = False


class _Sound:
    def __init__(self) -> None:
        self._configuration = b""
        self._format: AacFormat | None = None
        self._timeline = 0

    def record(self, time_ms: int, data: bytes) -> MediaRecord | None:
        if data[0] >> 4 != _AAC:
            raise MediaError("its sound is not AAC, and not recorded")
        if len(data) < _SHORTEST_SOUND:
            raise MediaError("a sound is cut")
        kind, body = data[1], data[_SHORTEST_SOUND:]
        try:
            if kind == _CONFIGURATION and body != self._configuration:
                self._format = None
                self._format = AacFormat.from_config(body)
                self._timeline, self._configuration = zlib.crc32(body), body
            if kind != _UNITS or not self._format:
                return None
            return MediaRecord(
                "audio", is_key=True, timeline=self._timeline, pts_ms=time_ms, lead_ms=0, data=self._format.frame(body)
            )
        except AacError as error:
            raise MediaError(str(error)) from None


def _units(body: bytes, length_bytes: int) -> Iterator[bytes]:
    """The units of a picture, each of which has its length before it."""
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + length_bytes], "big")
        at += length_bytes
        if at + size > len(body):
            raise MediaError("a unit of a picture is cut")
        if size:
            yield body[at : at + size]
        at += size


def _parameter_sets(body: bytes) -> tuple[int, bytes]:
    """How many bytes a length has, and the parameter sets as Annex B."""
    found: list[bytes] = []
    try:
        length_bytes = (body[4] & 3) + 1
        at, counts = 6, [body[5] & _UNIT_TYPE]
        for number in range(2):
            if number:
                counts.append(body[at])
                at += 1
            for _ in range(counts[number]):
                size = int.from_bytes(body[at : at + 2], "big")
                found.append(body[at + 2 : at + 2 + size])
                at += 2 + size
    except IndexError:
        raise MediaError("the configuration of the picture is cut") from None
    if at > len(body) or not all(counts) or len(found) > MOST_SETS or not all(found):
        raise MediaError("the configuration of the picture is absurd")
    return length_bytes, _START + _START.join(found)
