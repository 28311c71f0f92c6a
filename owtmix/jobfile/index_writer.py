"""Writes the index of a room's single-stream recordings (API document, section 11.2), as ``index_reader`` reads it."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from owtmix.jobfile.index import Index, Recording


def index_text(index: Index, root: str) -> bytes:
    """``index`` as JSON, with times in milliseconds since 1970. All keys lie below the folder ``root``, "" for all.

    Raises:
        ValueError: a key does not, or a time is no whole millisecond.
    """
    document = {
        "JobId": index.job_id,
        "RoomId": index.room_id,
        "StartTime": min((_ms(file.start_s) for file in index.files), default=0),
        "Root": root,
        "Files": [_entry(file, root) for file in index.files],
    }
    return json.dumps(document, ensure_ascii=False, indent=2).encode()


def _entry(file: Recording, root: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "StreamId": str(file.stream),
        "Name": str(PurePosixPath(file.key).relative_to(root)),
        "StartTime": _ms(file.start_s),
    }
    if file.end_s is not None:
        entry["EndTime"] = _ms(file.end_s)
    if file.user_name:
        entry["UserName"] = file.user_name
    return entry


def _ms(time_s: Fraction) -> int:
    if (time_s * 1000).denominator != 1:
        raise ValueError(f"{time_s} s are no whole number of milliseconds")
    return int(time_s * 1000)
