"""What is in a journal, by one pass over it: which frames could be media, and what its clock needs to know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from owtmix.recorder.aac_packet import format_of
from owtmix.recorder.clock import Knot, TrackLog
from owtmix.recorder.fixed_clock import read_knots
from owtmix.recorder.journal import Codec, Frame, JournalHead, JournalReader, Report
from owtmix.recorder.opus_packet import samples_in

_START_CODES: Final = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
_VP8_KEY: Final = b"\x9d\x01\x2a"
_VP8_KEY_BYTES: Final = 10
_VP8_HEAD_BYTES: Final = 3


@dataclass(frozen=True, slots=True)
class Scan:
    """A journal.

    Attributes:
        path: The file.
        head: What it says it is.
        log: For its clock.
        first: The frame with which a file may begin, without its data; None when there is none.
        frames: The number of frames that could be media.
        is_damaged: Whether it could not be read to its end.
        knots: Its clock, where that was fixed.
    """

    path: Path
    head: JournalHead
    log: TrackLog
    first: Frame | None
    frames: int
    is_damaged: bool
    knots: tuple[Knot, ...] = ()


def scan_journal(path: Path) -> Scan:
    """Read a journal, which may still be written, to its end. Memory is bounded whatever is in it.

    Raises:
        JournalError: it is no journal.
        OSError: it cannot be read.
    """
    with JournalReader(path) as reader:
        log = TrackLog(reader.head.rate, is_common=reader.head.is_common)
        first, frames = None, 0
        for record in reader.records():
            log.add(record, lasts(reader.head.codec, record))
            if isinstance(record, Frame) and (frame := checked(reader.head.codec, record)):
                frames += 1
                if first is None and frame.is_key:
                    first = replace(frame, data=b"")
    return Scan(path, reader.head, log, first, frames, reader.is_damaged, read_knots(path))


def media_frames(reader: JournalReader) -> Iterator[Frame]:
    """The frames of a journal that could be media, from the first with which a file may begin."""
    begun = False
    for record in reader.records():
        frame = checked(reader.head.codec, record) if isinstance(record, Frame) else None
        if frame and (begun := begun or frame.is_key):
            yield frame


def checked(codec: Codec, frame: Frame) -> Frame | None:
    """The frame, with ``is_key`` by its own bytes where these tell; None where it is none of ``codec``.

    A packet of sound is a key frame.
    """
    data = frame.data
    match codec:
        case "opus":
            return _keyed(frame, is_key=True) if samples_in(data) else None
        case "aac":
            return _keyed(frame, is_key=True) if format_of(data) else None
        case "h264":
            return frame if data.startswith(_START_CODES) else None
        case "vp8":
            if len(data) < _VP8_HEAD_BYTES:
                return None
            is_key = not data[0] & 1
            is_whole = not is_key or (len(data) >= _VP8_KEY_BYTES and data[3:6] == _VP8_KEY)
            return _keyed(frame, is_key=is_key) if is_whole else None


def lasts(codec: Codec, record: Frame | Report) -> int:
    """How long a packet of sound lasts, in units of RTP time."""
    return samples_in(record.data) if codec == "opus" and isinstance(record, Frame) else 0


def _keyed(frame: Frame, *, is_key: bool) -> Frame:
    return frame if frame.is_key == is_key else replace(frame, is_key=is_key)
