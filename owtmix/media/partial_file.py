"""A file of which only parts are here, read so that nothing is taken for its content that is not."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ByteRange = tuple[int, int]
"""From the first byte to the one behind the last."""

_MOST_BYTES: Final = 1 << 20


class MissingBytesError(Exception):
    """What is at ``at`` is needed and not here; None where nothing less than the whole file will do."""

    def __init__(self, at: int | None) -> None:
        super().__init__(at)
        self.at = at


class PartialFile(io.RawIOBase):
    """Reads a file that has its full size, but of its content only ``parts``, which are in order and apart.

    A read elsewhere looks like the end of the file, and ``check`` tells of it; once it is ``lenient``, it gives zeros.
    """

    def __init__(self, path: Path, parts: Sequence[ByteRange]) -> None:
        self._file = path.open("rb", buffering=0)
        self._size = path.stat().st_size
        self._parts = parts
        self._at = 0
        self.lenient = False
        self._lacking: int | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; fewer at the end of a part."""
        wanted = min(size if size >= 0 else _MOST_BYTES, self._size - self._at)
        if wanted <= 0 or self._lacking is not None:
            return b""
        after = bisect_right(self._parts, self._at, key=lambda part: part[0])
        here = after > 0 and self._at < self._parts[after - 1][1]
        if here:
            self._file.seek(self._at)
            data = self._file.read(min(wanted, self._parts[after - 1][1] - self._at))
        elif self.lenient:
            data = bytes(min(wanted, self._parts[after][0] - self._at if after < len(self._parts) else wanted))
        else:
            self._lacking = self._at
            return b""
        self._at += len(data)
        return data

    def check(self) -> None:
        """Look whether all that was read is there: before anything is believed that was made of it.

        Raises:
            LackingError: it is not.
        """
        if self._lacking is not None:
            raise MissingBytesError(self._lacking)

    def close(self) -> None:
        self._file.close()
        super().close()
