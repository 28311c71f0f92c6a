"""Places to compose, which the jobs of one machine share. A place is a lock on a file: whoever dies lets go of it.

A job that begins has a place for its first worker. Spare places, which nobody waits for, are for further workers of the
jobs that run; they are given back after each chunk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from owtmix.base.own_files import make_folder, own_file

_TAKEN: Final = frozenset({errno.EAGAIN, errno.EACCES})
_WAITING: Final = "waiting"
_TRIES: Final = 20
_PAUSE_S: Final = 0.001


class Places:
    """The places ``0`` to ``count - 1`` in ``folder``. Objects in any number of processes share them.

    Raises:
        OSError: the folder cannot be used, or belongs to somebody else.
    """

    def __init__(self, folder: Path, count: int) -> None:
        make_folder(folder)
        self.folder = folder
        self.count = count

    @classmethod
    def of_machine(cls, count: int) -> Self:
        """The places that this user's jobs on this machine share, whatever their state folder."""
        return cls(Path(tempfile.gettempdir()) / f"owtmix-places-{os.getuid()}", count)

    def take(self) -> int | None:
        """A descriptor that holds a place until it and all its copies are closed; None where all are taken.

        Raises:
            OSError: a file in the folder cannot be opened.
        """
        for number in range(self.count):
            held = self._locked(f"place-{number:04}", fcntl.LOCK_EX)
            if held is not None:
                return held
        return None

    def take_spare(self) -> int | None:
        """As ``take``, but None while anybody waits for a place."""
        alone = self._locked(_WAITING, fcntl.LOCK_EX)
        if alone is None:
            return None
        os.close(alone)
        return self.take()

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Let nobody take a spare place while the block runs."""
        for _ in range(_TRIES):  # somebody may look in this moment whether anybody waits
            shared = self._locked(_WAITING, fcntl.LOCK_SH)
            if shared is not None:
                break
            time.sleep(_PAUSE_S)
        try:
            yield
        finally:
            if shared is not None:
                os.close(shared)

    def _locked(self, name: str, kind: int) -> int | None:
        descriptor = own_file(self.folder / name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _TAKEN:
                return None
            raise
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
