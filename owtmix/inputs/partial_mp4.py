"""Downloads the parts of a remote MP4 that are needed to measure it, into a sparse file of full size.

The tables of a complete MP4 list the presentation times of all samples. Other files have to be downloaded whole: WebM
lists only key frames, and every fragment of a fragmented MP4 has tables of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from owtmix.base.own_files import own_file
from owtmix.media.partial_file import ByteRange

BLOCK_BYTES: Final = 256 << 10
"""The smallest request: fewer bytes would not arrive much earlier."""
MOST_AT_ONCE_BYTES: Final = 8 << 20
MOST_TABLES_BYTES: Final = 64 << 20
MOST_BOXES: Final = 64
"""On the top level; a file with more boxes would take too many requests."""
_FIRST: Final = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_FRAGMENTED: Final = (b"moof", b"styp", b"sidx", b"mfra", b"mvex")
_HEADER_BYTES: Final = 16


class RangeUnavailable(Exception):  # noqa: N818 - the file is downloaded whole instead
    """Parts of the object cannot be fetched."""


class PartialMp4:
    """The file ``path``, ``size`` bytes long, with the fetched ranges ``parts``, sorted and disjoint.

    ``read(start, length)`` returns bytes of the object, or None when they are unavailable. A request is for at least
    ``block_bytes``.

    Raises:
        OSError: the disk takes no more. All methods raise it.
    """

    def __init__(
        self, path: Path, size: int, read: Callable[[int, int], bytes | None], block_bytes: int = BLOCK_BYTES
    ) -> None:
        self.path = path
        self.size = size
        self.parts: tuple[ByteRange, ...] = ()
        self._read = read
        self._block_bytes = block_bytes
        with open(path, "wb", opener=own_file) as file:
            file.truncate(size)

    @property
    def held_bytes(self) -> int:
        """The number of bytes that were fetched."""
        return sum(end - start for start, end in self.parts)

    def fetch(self, start: int, length: int) -> None:
        """Fetch ``length`` bytes from ``start`` on, at most to the end of the file, unless one part holds them already.

        Raises:
            RangeUnavailable: the bytes cannot be fetched.
        """
        if any(first <= start and min(self.size, start + length) <= last for first, last in self.parts):
            return
        end = min(self.size, start + max(length, self._block_bytes))
        with self.path.open("r+b") as file:
            file.seek(start)
            for at in range(start, end, MOST_AT_ONCE_BYTES):
                wanted = min(MOST_AT_ONCE_BYTES, end - at)
                data = self._read(at, wanted)
                if data is None or len(data) != wanted:
                    raise RangeUnavailable
                file.write(data)
        self.parts = _joined((*self.parts, (start, end)))

    def fetch_tables(self) -> bool:
        """Fetch the tables and the beginning of the media data; False where the tables are incomplete.

        Raises:
            RangeUnavailable: the bytes cannot be fetched.
        """
        at, media, has_tables = 0, None, False
        for _ in range(MOST_BOXES):
            if at == self.size:
                break
            kind, head, length = self._box(at)
            if length < head or at + length > self.size or kind in _FRAGMENTED or (at == 0 and kind not in _FIRST):
                return False
            if kind == b"moov":
                if has_tables or length > MOST_TABLES_BYTES:
                    return False
                has_tables = True
                self.fetch(at, length)
                if self._is_fragmented(at + head, at + length):
                    return False
            elif kind == b"mdat" and media is None:
                media = at + head
            at += length
        else:
            return False
        if media is not None and has_tables:
            self.fetch(media, 2 * self._block_bytes)
        return media is not None and has_tables

    def _is_fragmented(self, at: int, end: int) -> bool:
        """Whether the tables between ``at`` and ``end`` announce fragments, or are damaged."""
        while at < end:
            kind, head, length = self._box(at)
            if length < head or at + length > end or kind in _FRAGMENTED:
                return True
            at += length
        return False

    def _box(self, at: int) -> tuple[bytes, int, int]:
        """Kind, header length and total length of the box at ``at``."""
        self.fetch(at, _HEADER_BYTES)
        with self.path.open("rb") as file:
            file.seek(at)
            header = file.read(_HEADER_BYTES)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        if length == 0:  # the last box extends to the end of the file
            return kind, 8, self.size - at
        if length == 1:
            return kind, 16, int.from_bytes(header[8:])
        return kind, 8, length


def _joined(parts: tuple[ByteRange, ...]) -> tuple[ByteRange, ...]:
    """The same ranges with overlapping and touching ones merged, sorted."""
    joined: list[ByteRange] = []
    for start, end in sorted(parts):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return tuple(joined)
