"""Parts of an object that is not here, fetched into a file of its size: as much as it takes to measure a recording.

An MP4 whose tables are complete says in them when everything in it is presented. Others have to be fetched whole: in
WebM only key frames are listed, and fragments each have tables of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

ByteRange = tuple[int, int]
"""From the first byte to the one behind the last."""

BLOCK_BYTES: Final = 256 << 10
"""The least that is asked for: less would not arrive much earlier."""
MOST_AT_ONCE_BYTES: Final = 8 << 20
MOST_TABLES_BYTES: Final = 64 << 20
MOST_BOXES: Final = 64
"""On the top level; a file in more pieces is not worth the questions."""
_FIRST: Final = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_FRAGMENTED: Final = (b"moof", b"styp", b"sidx", b"mfra", b"mvex")
_HEADER_BYTES: Final = 16


class RangeUnavailable(Exception):  # noqa: N818 - there is another way
    """Parts of the object cannot be had."""


class PartialMp4:
    """The file ``path``, ``size`` bytes long, of which ``parts`` are there, in order and apart.

    ``read`` gives any of the object's bytes, from where on and how many; or None where it cannot.

    Raises:
        OSError: the disk takes no more; as do the methods.
    """

    def __init__(self, path: Path, size: int, read: Callable[[int, int], bytes | None]) -> None:
        self.path = path
        self.size = size
        self.parts: tuple[ByteRange, ...] = ()
        self._read = read
        with path.open("wb") as file:
            file.truncate(size)

    @property
    def held_bytes(self) -> int:
        """How much of it is there."""
        return sum(end - start for start, end in self.parts)

    def fetch(self, start: int, length: int) -> None:
        """See to it that ``length`` bytes from ``start`` on are there, as far as the file goes.

        Raises:
            Unavailable: they cannot be had.
        """
        if any(first <= start and min(self.size, start + length) <= last for first, last in self.parts):
            return
        end = min(self.size, start + max(length, BLOCK_BYTES))
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
        """Fetch the tables and the beginning of what they describe; False where they do not tell everything.

        Raises:
            Unavailable: they cannot be had.
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
            self.fetch(media, 2 * BLOCK_BYTES)
        return media is not None and has_tables

    def _is_fragmented(self, at: int, end: int) -> bool:
        """Whether the tables between ``at`` and ``end`` say that more of them follow, or are not whole."""
        while at < end:
            kind, head, length = self._box(at)
            if length < head or at + length > end or kind in _FRAGMENTED:
                return True
            at += length
        return False

    def _box(self, at: int) -> tuple[bytes, int, int]:
        """The kind of the box at ``at``, how long its header is, and the whole box; 0 where it cannot be."""
        self.fetch(at, _HEADER_BYTES)
        with self.path.open("rb") as file:
            file.seek(at)
            header = file.read(_HEADER_BYTES)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        if length == 0:  # the last one goes on to the end
            return kind, 8, self.size - at
        if length == 1:
            return kind, 16, int.from_bytes(header[8:])
        return kind, 8, length


def _joined(parts: tuple[ByteRange, ...]) -> tuple[ByteRange, ...]:
    """The same bytes in as few parts as possible, in order."""
    joined: list[ByteRange] = []
    for start, end in sorted(parts):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return tuple(joined)
