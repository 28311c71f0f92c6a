"""The lines of a manifest, read and checked: one JSON object for each job."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final

from owtmix.base.errors import SpecError
from owtmix.base.named_file import unfit_path
from owtmix.base.strict_json import CONTROL, JsonError, kind_of, printable, read_object
from owtmix.batch.problems import Problems
from owtmix.jobfile.bounds import MAX_NAME, MAX_PATH
from owtmix.jobs.options import Options

LONGEST_LINE: Final = 2**16
"""In bytes."""
MOST_LINES: Final = 250_000
"""Of a manifest, empty ones included."""
LARGEST_PRIORITY: Final = 10**6
LARGEST_COST: Final = 10**12
MOST_OVERRIDES: Final = 100
LONGEST_OVERRIDE: Final = 200
"""In characters, of the path of a value."""
KEYS: Final = ("cfg", "id", "set", "index", "output", "device", "priority", "cost")
_SHOWN: Final = 80
_MOST_SKIPPED: Final = 2**14
"""Pieces of a line that is too long: a gigabyte."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as a line has it, or a file in a folder. ``where`` is its place for messages."""

    where: str
    cfg: str
    id: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    index: str | None = None
    output: str | None = None
    device: str | None = None
    priority: int = 0
    cost: float | None = None


def read_manifest(lines: BinaryIO, problems: Problems) -> Iterator[Entry]:
    """The entries of a manifest; what is wrong with the other lines is added to ``problems``.

    Empty lines are left out.

    Raises:
        OSError: it cannot be read.
    """
    number = 0
    while line := lines.readline(LONGEST_LINE + 1):
        number += 1
        where = f"line {number:,}"
        if number > MOST_LINES:
            problems.add(where, f"a manifest has at most {MOST_LINES:,} lines; the others were not read")
            return
        if len(line) > LONGEST_LINE:
            problems.add(where, f"a line has at most {LONGEST_LINE:,} bytes")
            if not _skip_line(lines, line):
                problems.add(where, "this line does not end; what follows was not read")
                return
        elif line.strip() and (entry := _entry(line, where, problems)):
            yield entry


def _skip_line(lines: BinaryIO, line: bytes) -> bool:
    """Skip the rest of a long line; whether it ends within a bound."""
    for _ in range(_MOST_SKIPPED):
        if not line or line.endswith(b"\n"):
            return True
        line = lines.readline(LONGEST_LINE)
    return False


def _entry(line: bytes, where: str, problems: Problems) -> Entry | None:
    try:
        document = read_object(line, max_bytes=LONGEST_LINE)
    except JsonError as error:
        problems.add(where, str(error).removeprefix("line 1, "))
        return None
    values: dict[str, Any] = {}
    is_right = True
    for key, value in document.items():
        if key not in _READERS:
            problems.add(where, f"{printable(key, _SHOWN)}: an unknown key; known are {', '.join(KEYS)}")
            is_right = False
        elif value is not None:
            try:
                values[key] = _READERS[key](value)
            except ValueError as error:
                problems.add(where, f"{key}: found {kind_of(value)}; accepted: {error}")
                is_right = False
    if document.get("cfg") is None:
        problems.add(where, "cfg: missing; accepted: the path of a job file")
    if not is_right or "cfg" not in values:
        return None
    return Entry(where, overrides=values.pop("set", {}), **values)


def _text(longest: int, what: str) -> Callable[[object], str]:
    accepted = f"{what}, text of 1 to {longest:,} characters"

    def read(value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise ValueError(accepted)
        return value

    return read


def _path(longest: int, what: str) -> Callable[[object], str]:
    text = _text(longest, what)

    def read(value: object) -> str:
        path = text(value)
        if CONTROL.search(path):
            raise ValueError(f"{what} without control characters")
        if problem := unfit_path(path):
            raise ValueError(f"{what}; {problem}")
        return path

    return read


def _overrides(value: object) -> dict[str, str]:
    """Values as JSON, which ``--set`` takes as they are meant: the text "1" stays text."""
    accepted = f"an object of at most {MOST_OVERRIDES} values by their paths, such as Data.MixerConfig.ResizeMode"
    if not isinstance(value, dict) or len(value) > MOST_OVERRIDES:
        raise ValueError(accepted)
    if any(not path or len(path) > LONGEST_OVERRIDE or "=" in path or CONTROL.search(path) for path in value):
        raise ValueError(f"{accepted}; a path in it is none")
    return {path: json.dumps(_plain(setting), ensure_ascii=False) for path, setting in value.items()}


def _plain(value: Any) -> Any:
    """``value`` with numbers that ``json`` can write."""
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case Decimal():
            return float(value)
        case _:
            return value


def _device(value: object) -> str:
    try:
        return Options(device=value if isinstance(value, str) else "").device
    except SpecError:
        raise ValueError("auto, cpu, cuda or a GPU such as cuda:1") from None


def _priority(value: object) -> int:
    if type(value) is not int or abs(value) > LARGEST_PRIORITY:
        raise ValueError(f"a whole number from -{LARGEST_PRIORITY:,} to {LARGEST_PRIORITY:,}")
    return value


def _cost(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= LARGEST_COST:
        raise ValueError(f"a number from 0 to {LARGEST_COST:,}")
    return float(value)


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "cfg": _text(MAX_PATH, "the path of a job file"),
    "id": _text(MAX_NAME, "a name of the job"),
    "set": _overrides,
    "index": _path(MAX_PATH, "a key, or a path such as ./index.json"),
    "output": _path(MAX_PATH, "a key, or a path such as ./talk.mp4"),
    "device": _device,
    "priority": _priority,
    "cost": _cost,
}


def is_local_path(name: str) -> bool:
    """Whether an index or an output is a local path, as on the command line of ``owt-main``."""
    return name.startswith(("/", "./", "../"))


def absolute(name: str | None, folder: Path) -> str | None:
    """A local path as seen from ``folder``; a key stays as it is."""
    return str(folder / name) if name and is_local_path(name) else name
