"""Reads a partially downloaded file, and detects reads of bytes that are missing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from owtmix.media.file_view import BLOCK_BYTES, FileView

ByteRange = tuple[int, int]
"""First byte, and the byte after the last one."""


class MissingBytesError(Exception):
    """The byte at ``at`` is needed and missing; None if the whole file is needed."""

    def __init__(self, at: int | None) -> None:
        super().__init__(at)
        self.at = at


class PartialFile(FileView):
    """A sparse file of full size that holds only ``parts``, in order and with gaps between them.

    A read in a gap looks like the end of the file, and ``check`` raises. With ``zero_fill`` it returns zeros instead.
    """

    def __init__(self, path: Path, parts: Sequence[ByteRange]) -> None:
        super().__init__(path)
        self._parts = parts
        self.zero_fill = False
        self._missing: int | None = None

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; fewer at the end of a part."""
        wanted = min(size if size >= 0 else BLOCK_BYTES, self._size - self._at)
        if wanted <= 0 or self._missing is not None:
            return b""
        after = bisect_right(self._parts, self._at, key=lambda part: part[0])
        present = after > 0 and self._at < self._parts[after - 1][1]
        if present:
            return super().read(min(wanted, self._parts[after - 1][1] - self._at))
        if self.zero_fill:
            data = bytes(min(wanted, self._parts[after][0] - self._at if after < len(self._parts) else wanted))
            self._at += len(data)
            return data
        self._missing = self._at
        return b""

    def check(self) -> None:
        """Check that no read hit a gap. Call it before using what was parsed.

        Raises:
            MissingBytesError: a read did.
        """
        if self._missing is not None:
            raise MissingBytesError(self._missing)
