"""Reads the index of a room's single-stream recordings (API document, section 11.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar

from owtmix.base.errors import InputError
from owtmix.base.ids import StreamId
from owtmix.base.strict_json import JsonError, Loc, json_path, read_object, shown
from owtmix.jobfile.bounds import MAX_INDEX_BYTES, MAX_NAME, MAX_RECORDINGS
from owtmix.jobfile.index import Index, Recording, TimeScale, TimeUnitSetting
from owtmix.jobfile.index_time import read_time, time_scale
from owtmix.jobfile.object_key import normal_form, normal_key

MAX_PROBLEMS_SHOWN: Final = 20
DAY_S: Final = 86_400
_YEARS_BELOW_S: Final = 253_370_764_800
"""The year 9999 begins."""

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class _File:
    """An entry of ``Files`` with its times as written."""

    stream: StreamId
    key: str
    start: Decimal
    end: Decimal | None
    user_name: str = ""


def read_index(text: bytes, *, time_unit: TimeUnitSetting = "auto", strict: bool = False) -> Index:
    """Read an index; ``time_unit`` is "auto" or one of ``TimeUnit`` (docs/semantics.md, "Time").

    An entry with a malformed ``StreamId`` or ``Name``, or the same as an earlier one, is left out with a warning;
    malformed ones are errors with ``strict``. A malformed ``EndTime`` or ``UserName`` is ignored with a warning, and so
    is an ``EndTime`` that is not after the ``StartTime``.

    Raises:
        InputError: The index is not valid. The message lists the first 20 problems.
    """
    try:
        document = read_object(text, max_bytes=MAX_INDEX_BYTES)
    except JsonError as error:
        raise InputError(f"the index is not usable JSON: {error}") from None
    return _Reader(strict=strict).index(document, time_unit)


class _Reader:
    """Parses one index and collects its problems and warnings."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._problems: list[str] = []
        self._warnings: list[str] = []
        self._left_out: list[str] = []

    def index(self, document: dict[str, Any], time_unit: TimeUnitSetting) -> Index:
        job_id = self._value(document, ("JobId",), _text) or ""
        room_id = self._value(document, ("RoomId",), _text) or ""
        base = self._value(document, ("StartTime",), read_time) or Decimal(0)
        root = self._value(document, ("Root",), _folder) or ""
        entries = self._value(document, ("Files",), _entries, required=True) or []
        files = {i: file for i, entry in enumerate(entries) if (file := self._file(entry, ("Files", i), root))}
        if not files:
            self._problems += self._warnings
        self._raise_problems()
        files = self._without_repeated(files)
        times = [time for file in files.values() for time in (file.start, file.end) if time is not None]
        scale = time_scale(base, times, time_unit)
        recordings = tuple(self._recording(i, file, scale) for i, file in files.items())
        self._raise_problems()
        if scale.unit.startswith("epoch"):
            self._check_years(files, scale)
        self._warnings += _far_off(recordings)
        if scale.unit.startswith("epoch") and any(file.start < scale.absolute_from for file in files.values()):
            step = "seconds" if scale.relative_step_s == 1 else "milliseconds"
            self._warnings.append(
                f"the index has times since 1970 and smaller times, which are read as {step} after StartTime"
            )
        return Index(job_id, room_id, scale.unit, recordings, tuple(self._warnings), tuple(self._left_out), scale)

    def _file(self, entry: object, loc: Loc, root: str) -> _File | None:
        problems = len(self._problems)
        if isinstance(entry, dict):
            stream = self._value(entry, (*loc, "StreamId"), _stream, required=True)
            key = self._value(entry, (*loc, "Name"), lambda name: _key(root, name), required=True)
        else:
            self._report(loc, entry, "an object with StreamId, Name, StartTime and perhaps EndTime")
            entry, stream, key = {}, None, None
        if not (stream and key):
            self._left_out += [key] if key else []
            if not self._strict and not _climbs(entry.get("Name")):
                name = _entry_name(entry)
                self._warnings += [f"{found}; {name} is left out" for found in self._problems[problems:]]
                del self._problems[problems:]
            return None
        start = self._value(entry, (*loc, "StartTime"), read_time, required=True)
        if start is None:
            return None
        end = self._optional(entry, (*loc, "EndTime"), read_time)
        return _File(stream, key, start, end, self._optional(entry, (*loc, "UserName"), _text) or "")

    def _optional(self, entry: dict[str, Any], loc: Loc, read: Callable[[object], _Read]) -> _Read | None:
        """What stands at ``loc`` of an entry; None with a warning when it is malformed."""
        name = str(loc[-1])
        try:
            return None if entry.get(name) is None else read(entry[name])
        except ValueError as error:
            self._warnings.append(
                f"{json_path(loc)}: {shown(entry[name])} of {_entry_name(entry)} is ignored; accepted: {error}"
            )
            return None

    def _without_repeated(self, files: dict[int, _File]) -> dict[int, _File]:
        """``files`` without those of a stream that stand there twice, with the same name and times."""
        first: dict[tuple[StreamId, str, Decimal, Decimal | None], int] = {}
        kept = {}
        for number, file in files.items():
            place = first.setdefault((file.stream, normal_form(file.key), file.start, file.end), number)
            if place == number:
                kept[number] = file
            else:
                self._warnings.append(f"{json_path(('Files', number))}: {file.key} stands twice, and counts once")
        return kept

    def _recording(self, position: int, file: _File, scale: TimeScale) -> Recording:
        start_s = scale.seconds(file.start)
        if scale.unit.startswith("epoch") and file.start < scale.absolute_from and not scale.base_s:
            loc = ("Files", position, "StartTime")
            self._report(
                loc, file.start, "a time since 1970 as in other files, or a StartTime of the index to count from"
            )
        end_s = None if file.end is None else scale.seconds(file.end)
        if end_s is not None and end_s <= start_s:
            where = json_path(("Files", position, "EndTime"))
            self._warnings.append(f"{where}: {file.end} of {file.key} is not after StartTime {file.start}; ignored")
            end_s = None
        return Recording(file.stream, file.key, start_s, end_s, file.user_name)

    def _check_years(self, files: dict[int, _File], scale: TimeScale) -> None:
        """Calendars end with the year 9999, and a room lasts into the next one at most."""
        for number, file in files.items():
            for name, time in (("StartTime", file.start), ("EndTime", file.end)):
                if time is not None and scale.seconds(time) >= _YEARS_BELOW_S:
                    accepted = "a time before the year 9999, or another unit: see index.time_unit in conf/owt.toml"
                    self._report(("Files", number, name), time, accepted)
        self._raise_problems()

    def _value(
        self, entry: dict[str, Any], loc: Loc, read: Callable[[object], _Read], *, required: bool = False
    ) -> _Read | None:
        """Parse the value of the last key of ``loc`` with ``read``; None when it is missing or wrong."""
        value = entry.get(str(loc[-1]))
        if value is None and not required:
            return None
        try:
            return read(value)
        except ValueError as error:
            self._report(loc, value, str(error))
            return None

    def _report(self, loc: Loc, found: object, accepted: str) -> None:
        state = "missing" if found is None else f"found {shown(found)}"
        self._problems.append(f"{json_path(loc)}: {state}; accepted: {accepted}")

    def _raise_problems(self) -> None:
        if self._problems:
            more = len(self._problems) - MAX_PROBLEMS_SHOWN
            lines = self._problems[:MAX_PROBLEMS_SHOWN] + [f"and {more} more"] * (more > 0)
            raise InputError("\n".join(["the index is wrong:", *lines]))


def _entry_name(entry: dict[str, Any]) -> str:
    """What an entry is called in messages."""
    return shown(entry.get("Name") or entry.get("StreamId") or "the entry")


def _climbs(name: object) -> bool:
    """Whether a name leads out of the folder of the recordings, which is more than a mistake."""
    return isinstance(name, str) and (name.startswith("/") or ".." in name.split("/"))


def _far_off(recordings: Sequence[Recording]) -> Iterator[str]:
    """A warning for each recording that starts more than a day from all others."""
    in_order = sorted(recordings, key=lambda recording: recording.start_s)
    for number, recording in enumerate(in_order):
        beside = [in_order[i].start_s for i in (number - 1, number + 1) if 0 <= i < len(in_order)]
        if beside and all(abs(recording.start_s - start_s) > DAY_S for start_s in beside):
            yield f"{recording.key} starts more than a day from all other recordings: is its StartTime right?"


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > MAX_NAME:
        raise ValueError(f"text of at most {MAX_NAME} characters")
    return str(value)


def _entries(value: object) -> list[object]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_RECORDINGS:
        count = f" (here {len(value):,})" if isinstance(value, list) else ""
        raise ValueError(f"a list of 1 to {MAX_RECORDINGS:,} files{count}")
    return value


def _stream(value: object) -> StreamId:
    return StreamId.parse(value if isinstance(value, str) else "")


def _folder(value: object) -> str:
    """``Root`` as a prefix of keys; empty for the root of the store."""
    return _relative(value, "a relative folder") if value else ""


def _key(root: str, name: object) -> str:
    """The key ``Root/Name``, normalized."""
    return normal_key(f"{root}/{_relative(name, 'a relative file name')}")


def _relative(value: object, accepted: str) -> str:
    if not isinstance(value, str) or value.startswith("/"):
        raise ValueError(accepted)
    try:
        return normal_key(value)
    except ValueError as error:
        raise ValueError(f"{accepted} ({error})") from None
