"""``Store``: the protocol that every store implements, and ``LocalCopy``, an object as a local file."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from owtmix.base.errors import DestinationError, MixError
from owtmix.base.shortage import machine_error


@dataclass(frozen=True, slots=True)
class LocalCopy:
    """An object of a store as a local file.

    Attributes:
        path: The file, which may not exist yet.
        size_bytes: What the complete file takes of the disk; 0 when the object itself is a local file.
        present_bytes: What of it exists already.
        version: The version of the object that ``path`` has or will have, of a local file as ``base.file_version``
            tells it; None when the store has no versions.
    """

    path: Path
    size_bytes: int = 0
    present_bytes: int = 0
    version: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing has to be downloaded."""
        if self.present_bytes != self.size_bytes:
            return False
        try:
            return self.path.exists()
        except OSError:  # whoever reads it tells why
            return True


class Store(Protocol):
    """Objects with keys such as ``room/alice.webm``. A job reads from one store and writes to one, maybe the same."""

    @property
    def secrets(self) -> Sequence[str | None]:
        """Values that must not appear in any log, message or file, such as access keys."""

    def address(self, key: str) -> str:
        """Return the URL or path of an object, without secrets."""

    def identity(self, key: str) -> str:
        """Return a string that two keys, of any stores, share only when they name the same object."""

    def places(self, key: str) -> AbstractSet[str]:
        """Return names of the place of an object.

        Keys of any stores that may be the same object, under whatever spelling, have one of these names in common. In
        doubt other objects have, too.
        """

    def replaced(self, key: str, job_id: str) -> Sequence[str]:
        """Return the keys of all objects that ``stage`` and ``commit`` replace or remove for the output ``key``."""

    def read(self, key: str, max_bytes: int) -> bytes | None:
        """Return a whole small object; None when it does not exist.

        Raises:
            InputError: The object is larger than ``max_bytes``, or cannot be read.
        """

    def locate(self, key: str, folder: Path) -> LocalCopy:
        """Return the object as a local file, in ``folder`` if it has to be downloaded. Called from any thread.

        Raises:
            InputError: The object does not exist, or cannot be read.
            StoreError: The store cannot be used.
        """

    def read_part(self, key: str, copy: LocalCopy, start: int, length: int) -> bytes | None:
        """Return ``length`` bytes of the object from byte ``start`` on, fewer at its end. Called from any thread.

        None when the object is not ``copy.version`` any more, or the store does not support ranges.

        Raises:
            StoreError: The store cannot be used.
        """

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        """Download what is missing of ``copy``, which ``locate`` returned. Called from any thread.

        ``on_progress`` is called with the number of bytes that are there.

        Raises:
            InputError: The object has changed or does not exist any more.
            StoreError: The store cannot be used.
            DestinationError: The local file cannot be written, for example because the disk is full.
        """

    def stage(self, key: str, job_id: str, folder: Path) -> Path:
        """Return the path where the output is to be written before ``commit`` makes it the object ``key``.

        The path is in ``folder``, or beside the final file when the store is a local folder: then the file is there,
        empty, and only what is written into it is published.

        Raises:
            DestinationError: The store cannot be written.
        """

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:
        """Make the finished file ``staged`` the object ``key``, which appears all at once. Returns its address.

        ``on_progress`` is called with the number of bytes that were sent.

        Raises:
            DestinationError: The store cannot be written.
        """


def disk_error(folder: Path, error: OSError) -> MixError:
    """Return the error for an ``OSError`` that was raised while writing into ``folder``.

    It is a ``DestinationError``, or a ``ShortageError`` where the machine is short of something else.
    """
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    found = None if full else machine_error(error)
    reason = "the disk is full, free some space" if full else error.strerror
    return found or DestinationError(f"{folder} cannot be written: {reason}")
