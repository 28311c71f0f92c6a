"""The folder ``live`` of a room: the chunks of its mix, and what is told of it.

``chunks.jsonl`` has a line for each finished chunk, written when its files are on the disk. Whatever is killed, what is
in it stays, and the mix goes on after it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from owtmix.base.errors import BusyError
from owtmix.base.own_files import make_emptied, make_folder, own_file, read_own, remove, replace_whole
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.live.live_plan import Fixed
from owtmix.live.segments import END_FILE, FOLDER
from owtmix.recorder.live_folder import (
    LIVE,
    LOCK_FILE,
    LONGEST_WARNING,
    MOST_WARNINGS,
    RESULT_FILE,
    STATE_FILE,
    STOP_FILE,
)
from owtmix.workers.made_files import take_made

KEPT_SEGMENTS: Final = 30
"""So many of the last ones are kept for those who push them."""

_FIXED: Final = "fixed.json"
_CHUNKS: Final = "chunks.jsonl"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A finished chunk: number ``n``, the ``frames`` of its picture, and the number of the packet that follows its own.

    ``track`` and ``sound`` are the sizes of its files in bytes.
    """

    n: int
    frames: tuple[int, int]
    next_packet: int
    track: int = 0
    sound: int = 0


_CHUNK: Final = TypeAdapter(Chunk)
_FIXED_TYPE: Final = TypeAdapter(Fixed)


class MixFolder:
    """The folder of the mix of the room in ``room``.

    Attributes:
        bench: Where workers write.
        chunks: Those that are finished, in order, without a gap.

    Raises:
        OSError: it cannot be used.
    """

    def __init__(self, room: Path) -> None:
        self.root = room / LIVE
        make_folder(self.root)
        self.bench = self.root / "bench"
        self.tracks = self.root / "chunks"
        self.images = self.root / "images"
        self.segments = self.root / FOLDER
        self.chunks: list[Chunk] = []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder while the block runs, and take up what is in it.

        Raises:
            BusyError: another process mixes the room.
            OSError: it cannot be used.
        """
        held = own_file(self.root / LOCK_FILE, os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(f"{self.root} is mixed by another process") from None
            make_emptied(self.bench)
            for folder in (self.tracks, self.images, self.segments):
                make_folder(folder)
            self._take_up()
            yield
        finally:
            os.close(held)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is recorded."""
        return (self.root / STOP_FILE).exists()

    def fixed(self) -> Fixed | None:
        """What was fixed when the mix began; None before."""
        try:
            return _FIXED_TYPE.validate_json(read_own(self.root / _FIXED, MAX_INDEX_BYTES))
        except (OSError, ValidationError):
            return None

    def fix(self, fixed: Fixed) -> None:
        """Keep what is fixed."""
        replace_whole(self.root / _FIXED, json.dumps(asdict(fixed)).encode())

    def track(self, n: int) -> Path:
        """The picture of chunk ``n``."""
        return self.tracks / f"{n:06}.mp4"

    def sound(self, n: int) -> Path:
        """The packets of sound of chunk ``n``."""
        return self.tracks / f"{n:06}.sound"

    def take(self, chunk: Chunk, made: Mapping[str, Path], most_bytes: int) -> None:
        """Take over the files of the chunk that follows: ``track``, ``sound`` and ``segment``, as far as there are.

        Raises:
            ValueError: one has more than ``most_bytes``.
            OSError: the disk takes no more.
        """
        places = {"track": self.track(chunk.n), "sound": self.sound(chunk.n)}
        for name, path in places.items():
            if name in made:
                take_made(made[name], path, most_bytes)
        part = self.segments / ".part"
        take_made(made["segment"], part, most_bytes)
        part.replace(self.segments / f"{chunk.n:06}.flv")  # before the line: a chunk that has one is not made again
        line = json.dumps(asdict(chunk) | {name: _size(path) for name, path in places.items()})
        self._append(f"{line}\n".encode())
        self.chunks.append(_CHUNK.validate_json(line))
        remove(self.segments / f"{chunk.n - KEPT_SEGMENTS:06}.flv")

    @staticmethod
    def mix_name(number: int) -> str:
        """The name of file ``number`` of the mix, from 1 on, in the folder of the room."""
        return f"{LIVE}/mix-{number}.mp4" if number > 1 else f"{LIVE}/mix.mp4"

    def has(self, name: str) -> bool:
        """Whether a file of the mix is finished."""
        return (self.root.parent / name).is_file()

    def take_mix(self, name: str, made: Path, most_bytes: int) -> None:
        """Take over a finished file.

        Raises:
            OSError: the disk takes no more.
        """
        part = self.root / ".mix.part"
        take_made(made, part, most_bytes)
        part.replace(self.root.parent / name)

    def drop_from(self, n: int) -> None:
        """Forget the chunks from number ``n`` on.

        Raises:
            OSError: that cannot be kept.
        """
        self.chunks = self.chunks[:n]
        replace_whole(
            self.root / _CHUNKS, b"".join(json.dumps(asdict(chunk)).encode() + b"\n" for chunk in self.chunks)
        )

    def tell(self, state: Mapping[str, Any]) -> None:
        """Say how far the mix is."""
        replace_whole(self.root / STATE_FILE, _told(state))

    def end_segments(self) -> None:
        """Say that no more segments come."""
        replace_whole(self.segments / END_FILE, b"")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Say what the mix has become."""
        replace_whole(self.root / RESULT_FILE, _told(result))

    @property
    def is_finished(self) -> bool:
        """Whether the mix is finished."""
        return (self.root / RESULT_FILE).exists()

    def _take_up(self) -> None:
        self.chunks = []
        try:
            lines = read_own(self.root / _CHUNKS, MAX_INDEX_BYTES).split(b"\n")[:-1]
        except FileNotFoundError:
            lines = []
        for number, line in enumerate(lines):
            try:
                chunk = _CHUNK.validate_json(line)
            except ValidationError:
                break
            places = (self.track(number), self.sound(number))
            if chunk.n != number or tuple(map(_size, places)) != (chunk.track, chunk.sound):
                break
            self.chunks.append(chunk)
        self.drop_from(len(self.chunks))

    def _append(self, line: bytes) -> None:
        file = own_file(self.root / _CHUNKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            size = os.fstat(file).st_size
            if os.write(file, line) != len(line):  # what follows half a line could never be read
                os.ftruncate(file, size)
                raise OSError(errno.ENOSPC, "the disk is full")
            os.fdatasync(file)
        finally:
            os.close(file)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _told(found: Mapping[str, Any]) -> bytes:
    """What is told of a mix, with so many warnings as are read."""
    warnings = [text[:LONGEST_WARNING] for text in found["warnings"][:MOST_WARNINGS]]
    return json.dumps({**found, "warnings": warnings}).encode()
