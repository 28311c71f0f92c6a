"""What a job has finished so far, in its work folder: each piece under the hash of what decides its bytes.

A piece is listed in the manifest once it is whole and on the disk. What is not listed does not count.
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

_MANIFEST: Final = "manifest.jsonl"


@dataclass(frozen=True, slots=True)
class CachedTrack:
    """A finished file, what was told when it was made, and the warnings that came with it."""

    path: Path
    told: Any
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """A recording, known by its ``version``, cannot be decoded from file time ``file_s`` on: its sound or its picture.

    ``message`` says so.
    """

    version: str
    file_s: Fraction
    is_sound: bool
    message: str


class ChunkCache:
    """The finished pieces in ``folder``, which is made. One process uses it at a time.

    Raises:
        DestinationError: the disk takes nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pieces: dict[str, dict[str, Any]] = {}
        self.losses: list[SourceLoss] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._read()
        except OSError as error:
            raise DestinationError(f"{folder} cannot be used: {error.strerror}") from None

    def size_bytes(self, keys: Iterable[str]) -> int:
        """What the pieces with these keys take of the disk."""
        paths = (self._folder / key for key in self._pieces.keys() & set(keys))
        return sum(path.stat().st_size for path in paths if path.is_file())

    def find(self, key: str) -> CachedTrack | None:
        """The piece with this key; None where there is none, or not any more as it was made."""
        entry = self._pieces.get(key)
        if entry is None:
            return None
        path = self._folder / key
        try:
            whole = _digest(path) == entry["digest"]
        except OSError:
            whole = False
        return CachedTrack(path, entry["told"], tuple(entry["warnings"])) if whole else None

    def keep(self, key: str, made: Path, told: Any, warnings: tuple[str, ...]) -> CachedTrack:
        """Take over the finished file ``made``; ``told`` is JSON.

        Raises:
            DestinationError: the disk takes no more.
        """
        path = self._folder / key
        entry = {"piece": key, "told": told, "warnings": warnings}
        try:
            entry["digest"] = _digest(made)
            made.replace(path)
            self._note(entry)
        except OSError as error:
            raise DestinationError(f"{path} cannot be written: {error.strerror}") from None
        self._pieces[key] = entry
        return CachedTrack(path, told, warnings)

    def lose(self, loss: SourceLoss) -> None:
        """Remember that a recording cannot be decoded, so that a run that goes on from here agrees.

        Raises:
            DestinationError: the disk takes no more.
        """
        try:
            self._note({"lost": loss.version, "from": str(loss.file_s), "sound": loss.is_sound, "why": loss.message})
        except OSError as error:
            raise DestinationError(f"{self._folder} cannot be written: {error.strerror}") from None
        self.losses.append(loss)

    def _read(self) -> None:
        """Read the manifest; a line that was cut, and files that nobody listed, are what a killed run left."""
        manifest = self._folder / _MANIFEST
        text = manifest.read_text(encoding="utf-8", errors="replace") if manifest.exists() else ""
        for line in text.splitlines():
            with suppress(ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
                entry = json.loads(line)
                if "piece" in entry:
                    kept = {
                        "digest": str(entry["digest"]),
                        "told": entry["told"],
                        "warnings": _texts(entry["warnings"]),
                    }
                    self._pieces[str(entry["piece"])] = kept
                else:
                    loss = SourceLoss(entry["lost"], Fraction(entry["from"]), bool(entry["sound"]), str(entry["why"]))
                    self.losses.append(loss)
        for path in self._folder.iterdir():
            if path.name not in self._pieces and path.name != _MANIFEST:
                path.unlink()
        if text and not text.endswith("\n"):
            with manifest.open("a", encoding="utf-8") as file:
                file.write("\n")

    def _note(self, entry: dict[str, Any]) -> None:
        """Add a line to the manifest; once this returns, it is on the disk, and so are the files it names."""
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
