"""The folder ``live`` of a room that is mixed while it runs: what the mixer tells in it, and is told.

The mixer holds a lock while it runs, writes how far it is, and what it made in the end. It is told to compose the rest,
and end, by a file.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import make_folder, make_own, own_file, read_own

LIVE: Final = "live"
STATE_FILE: Final = "state.json"
RESULT_FILE: Final = "result.json"
STOP_FILE: Final = "stop"
LOCK_FILE: Final = ".lock"

_MOST_BYTES: Final = 1 << 20
MOST_WARNINGS: Final = 100
LONGEST_WARNING: Final = 500
_MIX: Final = re.compile(rf"{LIVE}/[A-Za-z0-9_-][A-Za-z0-9._-]{{0,100}}")
"""The file of the mix: one in the folder, whatever the mixer says."""


@dataclass(frozen=True, slots=True)
class MixState:
    """How far a mix is.

    Attributes:
        chunks: Chunks that are made.
        done_s: Seconds of the mix that are made.
        behind_s: By how much what is made is behind what is received.
        begun_us: When the mix begins, in microseconds since 1970; None while nobody has come.
        warnings: What is not as it was asked for, in words.
        files: Those that are finished, in the folder of the room.
    """

    chunks: int = 0
    done_s: float = 0.0
    behind_s: float = 0.0
    begun_us: int | None = None
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MixResult:
    """What a mix became: ``files`` in the folder of the room, one for each shape of its picture."""

    files: tuple[str, ...]
    duration_s: float = 0.0
    frames: int = 0
    warnings: tuple[str, ...] = ()


class LiveFolder:
    """The folder ``live`` of the room in ``room``."""

    def __init__(self, room: Path) -> None:
        self.room = room
        self.root = room / LIVE

    def make(self) -> None:
        """Make it, where it is missing. Raises ``OSError``."""
        make_folder(self.root)

    def stop(self) -> None:
        """Tell the mixer to compose the rest, and to end. Raises ``OSError``."""
        self.make()
        make_own(self.root / STOP_FILE)

    def has_begun(self) -> bool:
        """Whether a mixer has told how far it is."""
        return (self.root / STATE_FILE).exists()

    def is_held(self) -> bool:
        """Whether a mixer runs."""
        try:
            descriptor = own_file(self.root / LOCK_FILE, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def version(self) -> tuple[int, int]:
        """Of what the mixer told last: changes whenever it tells something."""
        try:
            found = (self.root / STATE_FILE).stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def state(self) -> MixState | None:
        """How far the mix is; None where nothing tells, or not in whole."""
        found = self._read(STATE_FILE)
        if found is None:
            return None
        begun = found.get("begun_us")
        return MixState(
            int(_number(found, "chunks")),
            _number(found, "done_s"),
            _number(found, "behind_s"),
            begun if isinstance(begun, int) and not isinstance(begun, bool) else None,
            _warnings(found),
            tuple(filter(self._is_mix, files)) if isinstance(files := found.get("files"), list) else (),
        )

    def result(self) -> MixResult | None:
        """What the mix became; None until then, also where what is told is none."""
        found = self._read(RESULT_FILE)
        files = found.get("files") if found else None
        if found is None or not isinstance(files, list) or not all(map(self._is_mix, files)):
            return None
        return MixResult(tuple(files), _number(found, "duration_s"), int(_number(found, "frames")), _warnings(found))

    def _is_mix(self, file: Any) -> bool:
        return isinstance(file, str) and bool(_MIX.fullmatch(file)) and (self.room / file).is_file()

    def drop_result(self) -> None:
        """Forget a result that is none: the mixer makes another one."""
        with suppress(OSError):
            (self.root / RESULT_FILE).unlink()

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads(read_own(self.root / name, _MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def _number(found: Mapping[str, Any], name: str) -> float:
    value = found.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return max(0.0, float(value)) if is_number and math.isfinite(value) else 0.0  # type: ignore[arg-type]


def _warnings(found: Mapping[str, Any]) -> tuple[str, ...]:
    texts = found.get("warnings")
    known = texts if isinstance(texts, list) else []
    return tuple(text[:LONGEST_WARNING] for text in known[:MOST_WARNINGS] if isinstance(text, str))
