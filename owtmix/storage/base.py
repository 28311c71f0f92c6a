"""The seam between a job and where its files live."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from owtmix.base.errors import DestinationError


@dataclass(frozen=True, slots=True)
class Copy:
    """An object as a local file: ``path`` takes ``size_bytes`` of the disk, of which ``present_bytes`` are there.

    Both are 0 where the object is used in its own place. ``version`` is the object's, where no other will do.
    """

    path: Path
    size_bytes: int = 0
    present_bytes: int = 0
    version: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing has to be fetched."""
        return self.present_bytes == self.size_bytes and self.path.exists()


class Store(Protocol):
    """A place of objects named by keys such as ``room/alice.webm``. A store is used for input or for output."""

    @property
    def secrets(self) -> Sequence[str | None]:
        """What it needs to get in; never to be written anywhere."""

    def address(self, key: str) -> str:
        """Where an object is, for people and programs; never a secret."""

    def identity(self, key: str) -> str:
        """The same for two keys, of any stores, only where writing one would overwrite the other."""

    def read(self, key: str, max_bytes: int) -> bytes | None:
        """A whole small object; None when there is none.

        Raises:
            InputError: it is larger than ``max_bytes``, or cannot be read.
        """

    def locate(self, key: str, folder: Path) -> Copy:
        """Where the object is a local file, or will be one, in ``folder``; from any thread.

        Raises:
            InputError: there is none, or it cannot be read.
            StoreError: the store cannot be used.
        """

    def read_part(self, key: str, copy: Copy, start: int, length: int) -> bytes | None:
        """``length`` bytes of the object from ``start`` on, fewer at its end; from any thread.

        None where it is not ``copy.version`` any more, or the store cannot send parts.

        Raises:
            StoreError: the store cannot be used.
        """

    def fetch(self, key: str, copy: Copy, on_progress: Callable[[int], None]) -> None:
        """Complete what ``locate`` found; from any thread. ``on_progress`` is told how many bytes are there.

        Raises:
            InputError: the object is not any more what it was.
            StoreError: the store cannot be used.
            DestinationError: the disk takes no more.
        """

    def stage(self, key: str, job_id: str, folder: Path) -> Path:
        """Where to write what ``commit`` will make the object ``key``: in ``folder``, or where it is to be.

        Raises:
            DestinationError: nothing can be written there.
        """

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:
        """Make the finished file ``staged`` the object ``key``, all at once; returns its address.

        ``on_progress`` is told how many bytes are there.

        Raises:
            DestinationError: it cannot be made so.
        """


def unwritable(folder: Path, error: OSError) -> DestinationError:
    """That ``error`` came of writing into ``folder``."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = "the disk is full, free some space" if full else error.strerror
    return DestinationError(f"{folder} cannot be written: {reason}")
