"""The finished tracks of a job in its work folder: chunks of the picture and the sound, each under its key.

A track is listed in the manifest once it is complete and on the disk. Unlisted files do not count, and lines of the
manifest that make no sense are skipped: their tracks are made again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import DestinationError, RenderError
from owtmix.base.own_files import make_folder, own_file, read_own, remove, write_whole
from owtmix.plan.exact_json import fraction_from_text
from owtmix.storage import disk_error
from owtmix.workers.made_files import take_made

MOST_BYTES: Final = 256 << 20
"""Of the manifest; a longer one is no manifest."""
LONGEST_LINE: Final = 4 << 20
"""In bytes. The line of a track has some kilobytes; a result and its warnings have less than this."""
_MANIFEST: Final = "manifest.jsonl"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CachedTrack:
    """A finished track: its file, the ``result`` of its task as JSON, and the warnings that came with it."""

    path: Path
    result: Any
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """The sound or the picture of a recording of this ``version`` cannot be decoded from file time ``file_s`` on."""

    version: str
    file_s: Fraction
    is_sound: bool
    message: str


class ChunkCache:
    """The finished tracks in ``folder``, which is created. One process uses it at a time.

    Raises:
        DestinationError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, dict[str, Any]] = {}
        self.losses: list[SourceLoss] = []
        try:
            make_folder(folder)
            self._made = folder.lstat()
            self._read()
            self._remove_unlisted()
        except OSError as error:
            raise DestinationError(f"{folder} cannot be used: {error.strerror}") from None

    def size_bytes(self, keys: Iterable[str]) -> int:
        """The bytes on disk of the tracks with these keys."""
        found = 0
        for key in self._entries.keys() & set(keys):
            with suppress(OSError):  # it is not there; it is made again
                found += (self._folder / key).lstat().st_size
        return found

    def find(self, key: str) -> CachedTrack | None:
        """The track with this key; None when there is none, or its file has changed."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        path = self._folder / key
        try:
            whole = _digest(path) == entry["digest"]
        except OSError:
            whole = False
        return CachedTrack(path, entry["result"], tuple(entry["warnings"])) if whole else None

    def add(self, key: str, made: Path, result: Any, warnings: tuple[str, ...], most_bytes: int) -> CachedTrack:
        """Take over the finished file ``made``, of at most ``most_bytes``; ``result`` is JSON.

        Raises:
            RenderError: it is longer.
            DestinationError: the disk takes no more.
        """
        path = self._folder / key
        entry = {"track": key, "result": result, "warnings": warnings}
        try:
            self._check_folder()
            entry["digest"] = take_made(made, path, most_bytes)
            self._append(entry)
        except ValueError as error:
            raise RenderError(f"who made {key} {error}") from None
        except OSError as error:
            raise disk_error(path, error) from None
        self._entries[key] = entry
        return CachedTrack(path, result, warnings)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove tracks that are no good.

        Raises:
            DestinationError: the disk takes no more.
        """
        gone = [key for key in keys if self._entries.pop(key, None)]
        try:
            self._check_folder()
            write_whole(self._folder / _MANIFEST, b"".join(map(_line, self._listed())))
            for key in gone:
                remove(self._folder / key)
        except OSError as error:
            raise disk_error(self._folder, error) from None

    def add_loss(self, loss: SourceLoss) -> None:
        """Remember a loss, so that a resumed run agrees.

        Raises:
            DestinationError: the disk takes no more.
        """
        try:
            self._append(_as_entry(loss))
        except OSError as error:
            raise disk_error(self._folder, error) from None
        self.losses.append(loss)

    def _read(self) -> None:
        """Read the manifest. When some of it makes no sense, only the rest stays in it."""
        manifest = self._folder / _MANIFEST
        try:
            data = read_own(manifest, MOST_BYTES)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("%s cannot be read, everything is made again: %s", manifest, error.strerror)
            remove(manifest)
            return
        *lines, rest = data.split(b"\n")  # the last line has no end when the run that wrote it was killed
        if skipped := sum(not self._take(line) for line in lines if line):
            _log.warning("%d of the lines of %s make no sense: what they list is made again", skipped, manifest)
        if skipped or rest:
            write_whole(manifest, b"".join(map(_line, self._listed())))

    def _take(self, line: bytes) -> bool:
        """Take over what a line lists; False when it makes no sense."""
        try:
            entry = _checked(json.loads(line) if len(line) <= LONGEST_LINE else None, dict)
            if "lost" in entry:
                self.losses.append(_loss(entry))
            else:
                key = _checked(entry["track"], str)
                self._entries[key] = {
                    "track": key,
                    "result": entry["result"],
                    "warnings": [_checked(text, str) for text in _checked(entry["warnings"], list)],
                    "digest": _checked(entry["digest"], str),
                }
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        return True

    def _listed(self) -> Iterator[dict[str, Any]]:
        yield from self._entries.values()
        yield from map(_as_entry, self.losses)

    def _remove_unlisted(self) -> None:
        """Delete files that a killed run left."""
        for path in self._folder.iterdir():
            if path.name not in self._entries and path.name != _MANIFEST:
                remove(path)

    def _check_folder(self) -> None:
        """Check that the folder is the one that was opened: a link in its place must not be followed.

        Raises:
            OSError: it is not.
        """
        found = self._folder.lstat()
        # A link that is made later may have the number that the folder had.
        if not (stat.S_ISDIR(found.st_mode) and os.path.samestat(found, self._made)):
            raise OSError(errno.ESTALE, "its folder was replaced while the job ran")

    def _append(self, entry: dict[str, Any]) -> None:
        """Append a line to the manifest; when this returns, it is on the disk, and so are the files it names."""
        self._check_folder()
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fsync(folder)
            with open(self._folder / _MANIFEST, "ab", opener=own_file) as file:
                file.write(_line(entry))
                file.flush()
                os.fsync(file.fileno())
            os.fsync(folder)
        finally:
            os.close(folder)


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry).encode("ascii") + b"\n"


def _as_entry(loss: SourceLoss) -> dict[str, Any]:
    return {"lost": loss.version, "from": str(loss.file_s), "sound": loss.is_sound, "why": loss.message}


def _loss(entry: dict[str, Any]) -> SourceLoss:
    """The loss of an entry.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    file_s, is_sound = fraction_from_text(entry["from"]), _checked(entry["sound"], bool)
    return SourceLoss(_checked(entry["lost"], str), file_s, is_sound, _checked(entry["why"], str))


def _checked(value: Any, kind: type) -> Any:
    """The value.

    Raises:
        TypeError: it is of another kind.
    """
    if not isinstance(value, kind):
        raise TypeError(f"not of {kind}")
    return value


def _digest(path: Path) -> str:
    with open(path, "rb", opener=own_file) as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
