"""The journal of one track of a session: its encoded frames as they came, and the sender's reports, in one file.

A head, one line of JSON, is followed by records, each written at once with a checksum. Whatever is killed leaves a
journal that can be read up to its last whole record. A journal is read while it is written, too.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntFlag
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

from owtmix.base.ids import StreamId
from owtmix.base.own_files import own_file

SUFFIX: Final = ".journal"
MAX_FRAME_BYTES: Final = 16 << 20
"""Of one record. A longer one is damage."""

Kind = Literal["audio", "video"]
Codec = Literal["h264", "vp8", "opus", "aac"]

_MAGIC: Final = b"OWTJ1\n"
_LONGEST_HEAD: Final = 1 << 16
_RECORD: Final = struct.Struct("<BBIqq")
"""Marker, flags, bytes of data, RTP time, arrival (us); the checksum of these and the data follows."""
_CHECKSUM: Final = struct.Struct("<I")
_MARKER: Final = 0xA5
_NTP: Final = struct.Struct("<q")
_LEAD: Final = struct.Struct("<I")
_CODECS: Final = {("audio", "opus"), ("audio", "aac"), ("video", "h264"), ("video", "vp8")}


class RecordFlag(IntFlag):
    """What a record is; without flags it is a frame that needs others. The data of one with LEAD begins with that."""

    KEY = 1
    REPORT = 2
    END = 4
    LEAD = 8


_KEY, _REPORT, _END, _WITH_LEAD = (int(flag) for flag in RecordFlag)
"""As plain numbers, which are ten times as fast."""


class JournalError(Exception):
    """A file is no journal."""


@dataclass(frozen=True, slots=True)
class JournalHead:
    """What a journal is about.

    Attributes:
        session: Id of the connection that all tracks of a sender have in common; letters and digits.
        stream: Whose track it is.
        kind: Sound or picture.
        codec: Of all frames of the journal; a session that changes its codec begins another journal.
        rate: Units of RTP time in a second.
        is_common: Whether all tracks of the session count the same time.
    """

    session: str
    stream: StreamId
    kind: Kind
    codec: Codec
    rate: int
    is_common: bool = False

    def to_json(self) -> bytes:
        return json.dumps({**asdict(self), "stream": str(self.stream)}).encode()

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Raises ``JournalError`` where ``line`` is no head."""
        try:
            values = json.loads(line)
            head = cls(**{**values, "stream": StreamId.parse(values["stream"])})
        except (ValueError, TypeError, KeyError, RecursionError):
            raise JournalError("its first line is no head of a journal") from None
        is_known = (head.kind, head.codec) in _CODECS and isinstance(head.is_common, bool)
        if not is_known or not isinstance(head.rate, int) or head.rate <= 0 or not str(head.session).isalnum():
            raise JournalError("its head says what no journal has")
        return head


@dataclass(frozen=True, slots=True)
class Frame:
    """An encoded frame: an access unit of H.264 (Annex B), a frame of VP8, a packet of Opus, or AAC in ADTS.

    ``rtp`` is the unwrapped RTP time, ``arrived_us`` when its last packet came, by the receiver's clock since 1970. It
    is decoded ``lead`` units of RTP time before it is shown.
    """

    rtp: int
    arrived_us: int
    is_key: bool
    data: bytes
    lead: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A sender report: the sender's clock said ``ntp_us`` (since 1970) at ``rtp``."""

    rtp: int
    arrived_us: int
    ntp_us: int


class JournalWriter:
    """Writes the journal at ``path``, which must not be there.

    Raises:
        OSError: it cannot be written. A record that is not whole is taken back, so that later ones can be written.
    """

    def __init__(self, path: Path, head: JournalHead) -> None:
        self.head = head
        self._file = own_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        self._size = 0
        try:
            self._write([_MAGIC, head.to_json(), b"\n"])
        except BaseException:
            os.close(self._file)
            path.unlink(missing_ok=True)
            raise

    def frame(self, frame: Frame) -> None:
        flags = RecordFlag.KEY if frame.is_key else RecordFlag(0)
        if frame.lead:
            lead = _LEAD.pack(frame.lead)
            self._record(flags | RecordFlag.LEAD, frame.rtp, frame.arrived_us, lead + frame.data)
        else:
            self._record(flags, frame.rtp, frame.arrived_us, frame.data)

    def report(self, report: Report) -> None:
        self._record(RecordFlag.REPORT, report.rtp, report.arrived_us, _NTP.pack(report.ntp_us))

    def sync(self) -> None:
        """Wait until what was written is on the disk. May be called from another thread."""
        os.fdatasync(self._file)

    def end(self) -> None:
        """Say that nothing more comes, wait until it is on the disk, and close the file."""
        try:
            self._record(RecordFlag.END, 0, 0, b"")
            self.sync()
        finally:
            os.close(self._file)

    def _record(self, flags: RecordFlag, rtp: int, arrived_us: int, data: bytes) -> None:
        head = _RECORD.pack(_MARKER, flags, len(data), rtp, arrived_us)
        self._write([head, _CHECKSUM.pack(zlib.crc32(data, zlib.crc32(head))), data])

    def _write(self, parts: list[bytes]) -> None:
        wanted, written = sum(map(len, parts)), 0
        try:
            written = os.writev(self._file, parts)
        finally:
            if written != wanted:
                os.ftruncate(self._file, self._size)
        if written != wanted:
            raise OSError(errno.ENOSPC, "the disk is full")
        self._size += written


class JournalReader:
    """Reads the journal at ``path``, also while it is written.

    ``ended`` says whether the end was read: without it the writer runs or was killed. ``is_damaged`` says whether the
    last record that was looked at is there and is wrong: what follows cannot be read.

    Raises:
        JournalError: it is no journal.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = os.fdopen(own_file(path, os.O_RDONLY), "rb", buffering=1 << 18)
        try:
            is_journal = self._file.read(len(_MAGIC)) == _MAGIC
            self.head = JournalHead.from_json(self._file.readline(_LONGEST_HEAD) if is_journal else b"")
        except BaseException:
            self._file.close()
            raise
        self._at = self._file.tell()
        self.ended = False
        self.is_damaged = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def records(self) -> Iterator[Frame | Report]:
        """The records from where the last call ended, in the order in which they were written.

        It stops before a record that is not whole: there is nothing after it that was meant to be read.
        """
        self._file.seek(self._at)
        while not self.ended and (record := self._next()):
            flags, rtp, arrived_us, data = record
            self._at += _RECORD.size + _CHECKSUM.size + len(data)
            if flags & _END:
                self.ended = True
            elif not flags & (_REPORT | _WITH_LEAD):
                yield Frame(rtp, arrived_us, bool(flags & _KEY), data)
            elif not flags & _REPORT:
                if len(data) >= _LEAD.size:
                    lead = int(_LEAD.unpack_from(data)[0])
                    yield Frame(rtp, arrived_us, bool(flags & _KEY), data[_LEAD.size :], lead)
            elif len(data) == _NTP.size:
                yield Report(rtp, arrived_us, _NTP.unpack(data)[0])

    def _next(self) -> tuple[int, int, int, bytes] | None:
        head = self._file.read(_RECORD.size)
        checksum = self._file.read(_CHECKSUM.size)
        if len(head) < _RECORD.size or len(checksum) < _CHECKSUM.size:  # more of it may have come between both
            return None
        marker, flags, size, rtp, arrived_us = _RECORD.unpack(head)
        data = self._file.read(size) if marker == _MARKER and size <= MAX_FRAME_BYTES else None
        if data is not None and len(data) < size:
            return None
        self.is_damaged = data is None or zlib.crc32(data, zlib.crc32(head)) != _CHECKSUM.unpack(checksum)[0]
        if data is None or self.is_damaged:
            return None
        return flags, rtp, arrived_us, data
