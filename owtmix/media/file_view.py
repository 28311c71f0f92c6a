"""A file that a demuxer reads through Python: FFmpeg's own reading takes an error of a disk for the end of the file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

from owtmix.base.asked_again import asked_again
from owtmix.base.errors import InputError, MixError
from owtmix.base.shortage import raise_if_short

_BLOCK_BYTES: Final = 1 << 20


class FileView(io.RawIOBase):
    """The first ``size`` bytes of the file ``path``, None for all of it."""

    def __init__(self, path: Path, size: int | None = None) -> None:
        self._file = asked_again(lambda: path.open("rb", buffering=0))
        whole = asked_again(lambda: self._file.seek(0, io.SEEK_END))
        self._size = whole if size is None else min(whole, size)
        self._at = 0
        self._has_failed = False

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
        """Up to ``size`` bytes; none at the end, and after an error.

        Raises:
            InputError, ShortageError: as ``read_at``; or the file became shorter.
        """
        wanted = min(size if size >= 0 else _BLOCK_BYTES, self._size - self._at)
        if wanted <= 0 or self._has_failed:
            return b""
        try:
            data = read_at(self._file.fileno(), wanted, self._at)
            if not data:
                raise InputError("cannot be read: it became shorter meanwhile")
        except MixError:
            self._has_failed = True
            raise
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def read_at(file: int, size: int, at: int) -> bytes:
    """Up to ``size`` bytes of the open ``file`` from byte ``at`` on; none at its end.

    Raises:
        InputError: it cannot be read, however often that is tried.
        ShortageError: the machine is short of something.
    """
    try:
        return asked_again(lambda: os.pread(file, size, at))
    except OSError as error:
        raise_if_short(error)
        raise InputError(f"cannot be read: {error.strerror}") from None
