"""The finished tracks of a job in its work folder: chunks of the picture and the sound, each under its key.

A track is listed in the manifest once it is complete and on the disk. Unlisted files do not count.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import DestinationError
from owtmix.plan.exact_json import exact_fraction

_MANIFEST: Final = "manifest.jsonl"


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
            folder.mkdir(parents=True, exist_ok=True)
            self._read()
        except OSError as error:
            raise DestinationError(f"{folder} cannot be used: {error.strerror}") from None

    def size_bytes(self, keys: Iterable[str]) -> int:
        """The bytes on disk of the tracks with these keys."""
        paths = (self._folder / key for key in self._entries.keys() & set(keys))
        return sum(path.stat().st_size for path in paths if path.is_file())

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

    def add(self, key: str, made: Path, result: Any, warnings: tuple[str, ...]) -> CachedTrack:
        """Take over the finished file ``made``; ``result`` is JSON.

        Raises:
            DestinationError: the disk takes no more.
        """
        path = self._folder / key
        entry = {"track": key, "result": result, "warnings": warnings}
        try:
            entry["digest"] = _digest(made)
            made.replace(path)
            self._append(entry)
        except OSError as error:
            raise DestinationError(f"{path} cannot be written: {error.strerror}") from None
        self._entries[key] = entry
        return CachedTrack(path, result, warnings)

    def add_loss(self, loss: SourceLoss) -> None:
        """Remember a loss, so that a resumed run agrees.

        Raises:
            DestinationError: the disk takes no more.
        """
        try:
            self._append({"lost": loss.version, "from": str(loss.file_s), "sound": loss.is_sound, "why": loss.message})
        except OSError as error:
            raise DestinationError(f"{self._folder} cannot be written: {error.strerror}") from None
        self.losses.append(loss)

    def _read(self) -> None:
        """Read the manifest; delete unlisted files, which a killed run left, and skip a line that was cut."""
        manifest = self._folder / _MANIFEST
        text = manifest.read_text(encoding="utf-8", errors="replace") if manifest.exists() else ""
        for line in text.splitlines():
            with suppress(ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
                entry = json.loads(line)
                if "track" in entry:
                    kept = {
                        "digest": str(entry["digest"]),
                        "result": entry["result"],
                        "warnings": _texts(entry["warnings"]),
                    }
                    self._entries[str(entry["track"])] = kept
                else:
                    loss = SourceLoss(
                        entry["lost"], exact_fraction(entry["from"]), bool(entry["sound"]), str(entry["why"])
                    )
                    self.losses.append(loss)
        for path in self._folder.iterdir():
            if path.name not in self._entries and path.name != _MANIFEST:
                path.unlink()
        if text and not text.endswith("\n"):
            with manifest.open("a", encoding="utf-8") as file:
                file.write("\n")

    def _append(self, entry: dict[str, Any]) -> None:
        """Append a line to the manifest; when this returns, it is on the disk, and so are the files it names."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
            with (self._folder / _MANIFEST).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.fsync(folder)
        finally:
            os.close(folder)


def _texts(values: Any) -> list[str]:
    return [str(value) for value in values]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
