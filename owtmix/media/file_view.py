"""A file that a demuxer reads through Python."""

from __future__ import annotations

import io
from pathlib import Path


class FileView(io.RawIOBase):
    """The first ``size`` bytes of the file ``path``, None for all of it. Subclasses decide what ``read`` gives."""

    def __init__(self, path: Path, size: int | None = None) -> None:
        self._file = path.open("rb", buffering=0)
        whole = self._file.seek(0, io.SEEK_END)
        self._size = whole if size is None else min(whole, size)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()
