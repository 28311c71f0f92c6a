"""Places to compose, which the jobs of one machine share. A place is a lock on a file: whoever dies lets go of it.

A job that begins has a place for its first worker. Who waits for one holds a ticket, a locked file that its time names
and which of the places it is for, and the oldest ticket is served first: so batches take turns. Spare places, which
nobody waits for, are for further workers of the jobs that run; they are given back after each chunk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from owtmix.base.own_files import make_folder, own_file

_TAKEN: Final = frozenset({errno.EAGAIN, errno.EACCES})
_TICKET: Final = "waits-"
PATIENCE_S: Final = 10.0
"""A ticket whose holder did not ask for a place for so long, since it hangs, holds up nobody."""


class Places:
    """The places ``0`` to ``count - 1`` in ``folder``. Objects in any number of processes share them.

    Raises:
        OSError: the folder cannot be used, or belongs to somebody else.
    """

    def __init__(self, folder: Path, count: int) -> None:
        make_folder(folder)
        self.folder = folder
        self.count = count
        self._ticket: str | None = None

    @classmethod
    def of_machine(cls, count: int, name: str = "") -> Self:
        """The places that this user's jobs on this machine share, whatever their state folder.

        With a ``name`` they are those of something else that jobs share, such as a card.
        """
        folder = Path(tempfile.gettempdir()) / f"owtmix-places-{os.getuid()}"
        make_folder(folder)
        return cls(folder / name, count)

    def take(self) -> int | None:
        """A descriptor that holds a place until it and all its copies are closed.

        None where all are taken, or those who have waited for longer wait for the others.

        Raises:
            OSError: a file in the folder cannot be opened.
        """
        if self._ticket:
            with suppress(OSError):
                os.utime(self.folder / self._ticket)
        return self._free(self._awaited())

    def take_spare(self) -> int | None:
        """As ``take``, but none that anybody waits for."""
        return None if self._ticket else self._free(self._awaited())

    def held(self) -> int:
        """How many places are held, by whomever.

        Raises:
            OSError: a file in the folder cannot be opened.
        """
        held = 0
        for number in range(self.count):
            free = self._locked(f"place-{number:04}", fcntl.LOCK_SH)
            if free is None:
                held += 1
            else:
                os.close(free)
        return held

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Stand in line while the block runs, in which ``take`` is called every few seconds.

        Meanwhile nobody takes one of these places as a spare one, nor after having waited for less long.

        Raises:
            OSError: a file in the folder cannot be made.
        """
        name = f"{_TICKET}{time.monotonic_ns():020}-{self.count}-{os.getpid()}"  # that clock is the machine's
        new = self.folder / f".{name}"
        held = own_file(new, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            new.rename(self.folder / name)  # nobody sees a ticket that is not locked yet
            self._ticket = name
            yield
        finally:
            self._ticket = None
            for path in (new, self.folder / name):
                with suppress(OSError):
                    path.unlink()
            os.close(held)

    def _free(self, first: int) -> int | None:
        for number in range(first, self.count):
            held = self._locked(f"place-{number:04}", fcntl.LOCK_EX)
            if held is not None:
                return held
        return None

    def _awaited(self) -> int:
        """How many of the places, the first ones, others have waited for, for longer than this one."""
        awaited = 0
        for name in sorted(name for name in os.listdir(self.folder) if name.startswith(_TICKET)):  # noqa: PTH208
            if awaited >= self.count or (self._ticket and name >= self._ticket):
                break
            if self._is_live(self.folder / name):
                awaited = max(awaited, _count_of(name))
        return awaited

    def _is_live(self, ticket: Path) -> bool:
        """Whether somebody holds a ticket and still asks for a place; one that nobody holds any more is removed."""
        try:
            descriptor = own_file(ticket, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            return abs(time.time() - os.fstat(descriptor).st_mtime) < PATIENCE_S
        finally:
            os.close(descriptor)
        with suppress(OSError):
            ticket.unlink()
        return False

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


def _count_of(ticket: str) -> int:
    """For how many places, the first ones, a ticket is."""
    try:
        return int(ticket.split("-")[2])
    except (IndexError, ValueError):  # none of ours
        return 0
