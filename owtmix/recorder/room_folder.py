"""The folder of a room: its journals, what was made of them, and who works in it."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from owtmix.base.errors import BusyError, InputError
from owtmix.base.own_files import make_folder, own_file, read_own, write_whole
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.recorder.file_plan import LeftOut
from owtmix.recorder.journal import SUFFIX

PART: Final = ".part"
"""How the name of a file ends that is not whole."""

_JOURNAL: Final = re.compile(rf"([^.]+)\.(audio|video)\.([0-9]{{1,6}}){re.escape(SUFFIX)}")


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file in ``recordings``; its times are milliseconds since 1970."""

    stream: str
    name: str
    start_ms: int
    end_ms: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FinishedSession:
    """A session of which all is made that can be. ``journals`` has the sizes of those that were read."""

    session: str
    journals: dict[str, int]
    files: tuple[RecordedFile, ...]
    left_out: tuple[LeftOut, ...]


_FINISHED: Final = TypeAdapter(FinishedSession)


class RoomFolder:
    """The folder ``root`` of a room.

    Raises:
        InputError: it is no folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.journals = self.root / "journals"
        self.recordings = self.root / "recordings"
        self.finished = self.root / "finished"
        if not self.root.is_dir():
            raise InputError(f"{self.root} is not a folder")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder while the block runs; what runs that were killed left is removed.

        Raises:
            BusyError: another process holds it.
            OSError: it cannot be used.
        """
        held = own_file(self.root / ".finish.lock", os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(f"{self.root} is being finished by another process") from None
            for folder in (self.recordings, self.finished):
                make_folder(folder)
            for path in self.recordings.glob(f".*{PART}"):
                path.unlink()
            yield
        finally:
            os.close(held)

    def sessions(self) -> dict[str, list[Path]]:
        """The journals of each session, those of sound first, each kind in the order in which they were begun."""
        found: dict[str, list[tuple[str, int, Path]]] = {}
        with suppress(FileNotFoundError):
            for path in sorted(self.journals.iterdir()):
                if named := _JOURNAL.fullmatch(path.name):
                    found.setdefault(named[1], []).append((named[2], int(named[3]), path))
        return {session: [path for *_, path in sorted(tracks)] for session, tracks in found.items()}

    def keep(self, done: FinishedSession) -> None:
        """Remember that a session is finished: its files are there, whatever happens now.

        Raises:
            OSError: the disk takes no more.
        """
        path = self._record(done.session)
        write_whole(path, json.dumps(asdict(done)).encode())
        for written in (path, self.finished):
            sync(written)

    def all_finished(self) -> list[FinishedSession]:
        """All sessions that are finished, also those whose journals are gone, by their first file."""
        found = [done for path in self.finished.glob("*.json") if (done := self._read(path))]
        return sorted(found, key=lambda done: (done.files[0].start_ms if done.files else 0, done.session))

    def is_finished(self, session: str, journals: list[Path]) -> bool:
        """Whether all of these journals, as they are now, are in files that are there."""
        done = self._read(self._record(session))
        if not done or not all(size_of(self.recordings / file.name) == file.bytes for file in done.files):
            return False
        return all(done.journals.get(path.name) == size_of(path) for path in journals)

    def _record(self, session: str) -> Path:
        return self.finished / f"{session}.json"

    @staticmethod
    def _read(path: Path) -> FinishedSession | None:
        """None where it is not there, or damaged: then it is made again."""
        try:
            return _FINISHED.validate_json(read_own(path, MAX_INDEX_BYTES))
        except (OSError, ValidationError):
            return None


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int | None:
    """In bytes; None where nothing is."""
    try:
        return path.lstat().st_size
    except OSError:
        return None
