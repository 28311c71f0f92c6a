"""Removes what nobody has used for days. It counts days on which the tool ran, and never asks a clock for an age.

A clock that jumps, to and fro and more than once, is one more day at most. The record of a sweep says since which day
each thing has been as it is now; what was found unchanged for ``days`` further days is removed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import BusyError, DestinationError
from owtmix.base.ids import is_job_id
from owtmix.base.own_files import read_own, remove, write_whole
from owtmix.jobfile.settings import Settings
from owtmix.jobs.lock import lock_folder, lock_job
from owtmix.jobs.state import LOGS, PROBES, UPLOADS, WORK
from owtmix.jobs.work_folder import PARTS

RECORD: Final = ".sweep"
"""In ``work``; no job id begins with a dot."""
MOST_BYTES: Final = 64 << 20
SHORTEST_DAY_S: Final = 43_200
"""Two days are further apart than this on a clock that counts from the start of the machine and never jumps."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Now:
    """The date, and the seconds since the machine started."""

    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    awake_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Record:
    """The day of the last sweep: its number, its ``Now``; and by kind and name, how a thing was, since which day."""

    day: int = 0
    last: Now | None = None
    seen: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Things of one kind: their folder, after how many days they are removed, and how."""

    name: str
    folder: Path
    days: int
    may_be: Callable[[Path], bool]
    remove: Callable[[Path], None]


def sweep(state: Path, settings: Settings, now: Now | None = None) -> None:
    """Remove old work folders, measurements and logs, on the first run of a day. No failure stops a job."""
    now = now or Now()
    record = _read(state)
    if not _is_new_day(record.last, now):
        return
    kinds = (
        _Kind(
            WORK, state / WORK, settings.work.days, lambda path: is_job_id(path.name), lambda p: _remove_job(state, p)
        ),
        _Kind(PROBES, state / PROBES, settings.work.days, _any, Path.unlink),
        _Kind(UPLOADS, state / UPLOADS, settings.work.days, _any, Path.unlink),
        _Kind(LOGS, state / LOGS, settings.logs.days, lambda path: path.suffix == ".log", Path.unlink),
    )
    day = record.day + 1
    try:
        seen = {kind.name: dict(_sweep_kind(kind, record.seen.get(kind.name, {}), day)) for kind in kinds}
        content = {"day": day, "date": now.date, "awake_s": now.awake_s, "seen": seen}
        write_whole(state / WORK / RECORD, json.dumps(content).encode())
    except OSError as error:
        _log.warning("old work cannot be looked for: %s", ": ".join(filter(None, (error.filename, error.strerror))))


def _any(_: Path) -> bool:
    return True


def _sweep_kind(kind: _Kind, seen: dict[str, tuple[int, int]], day: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each thing that stays, with how it is and since which day."""
    if not kind.folder.is_dir():
        return
    for path in kind.folder.iterdir():
        with suppress(FileNotFoundError):
            if not kind.may_be(path):
                continue
            changed = path.lstat().st_mtime_ns
            before, since = seen.get(path.name, (changed, day))
            if before != changed or _is_used(path):
                since = day
            if day - since >= kind.days and _removed(kind, path):
                continue
            yield path.name, (changed, since)


def _removed(kind: _Kind, path: Path) -> bool:
    try:
        kind.remove(path)
    except (BusyError, DestinationError, OSError) as error:
        _log.debug("%s stays: %s", path, error)
        return False
    return True


def _is_used(path: Path) -> bool:
    """Whether it is a folder that a run has locked."""
    try:
        with lock_folder(path, path.name):
            return False
    except BusyError:
        return True
    except OSError:
        return False


def _remove_job(state: Path, work: Path) -> None:
    """Remove the work folder of a job that does not run. A folder with anything else in it is not the tool's.

    Raises:
        BusyError: the job is running.
        DestinationError, OSError: it cannot be removed.
    """
    with lock_job(state, work.name), lock_folder(work, work.name):
        if {entry.name for entry in work.iterdir()} <= set(PARTS):
            remove(work)


def _is_new_day(last: Now | None, now: Now) -> bool:
    if last is None:
        return True
    return now.date != last.date and not 0 <= now.awake_s - last.awake_s < SHORTEST_DAY_S


def _read(state: Path) -> _Record:
    """The record; when it cannot be read, a new one, and so everything is as if it was used today."""
    try:
        found = json.loads(read_own(state / WORK / RECORD, MOST_BYTES))
        seen = {kind: {name: _pair(pair) for name, pair in things.items()} for kind, things in found["seen"].items()}
        last = Now(str(found["date"]), float(found["awake_s"]))
        return _Record(_whole(found["day"]), last, seen)
    except FileNotFoundError:
        return _Record()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        _log.warning("the record of what may be removed cannot be read, and begins anew: %s", error)
        return _Record()


def _pair(value: Any) -> tuple[int, int]:
    changed, since = value
    return _whole(changed), _whole(since)


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError("not a whole number")
    return value
