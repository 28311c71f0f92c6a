"""A file that a demuxer reads through Python: FFmpeg's own reading takes an error of a disk for the end of the file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

from owtmix.base.asked_again import asked_again
from owtmix.base.errors import InputError, MixError
from owtmix.base.shortage import machine_error

BLOCK_BYTES: Final = 1 << 20
"""What is read at once where nobody says how much."""


class FileView(io.RawIOBase):
    """The first ``size`` bytes of the file ``path``, None for all of it.

    Raises:
        InputError: it cannot be opened, however often that is tried.
        ShortageError: the machine is short of something.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        try:
            self._file = asked_again(lambda: path.open("rb", buffering=0))
            self.whole_size = asked_again(lambda: self._file.seek(0, io.SEEK_END))
        except OSError as error:
            raise _unreadable(error) from None
        self._size = self.whole_size if size is None else min(self.whole_size, size)
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
        wanted = min(size if size >= 0 else BLOCK_BYTES, self._size - self._at)
        if wanted <= 0 or self._has_failed:
            return b""
        try:
            data = self.read_at(self._at, wanted)
            if not data:
                raise InputError("cannot be read: it became shorter meanwhile")
        except MixError:
            self._has_failed = True
            raise
        self._at += len(data)
        return data

    def read_at(self, at: int, size: int) -> bytes:
        """Up to ``size`` bytes of the whole file from byte ``at`` on; none at its end.

        Raises:
            InputError: it cannot be read, however often that is tried.
            ShortageError: the machine is short of something.
        """
        try:
            return asked_again(lambda: os.pread(self._file.fileno(), size, at))
        except OSError as error:
            raise _unreadable(error) from None

    def close(self) -> None:
        self._file.close()
        super().close()


def _unreadable(error: OSError) -> MixError:
    return machine_error(error) or InputError(f"cannot be read: {error.strerror}")
