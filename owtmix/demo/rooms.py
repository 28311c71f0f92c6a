"""Several rooms of different length, for a batch: the beginnings of the sample room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from owtmix.demo.job import sample_job
from owtmix.demo.room import ROOM, START_MS, TAKES, make_room

LENGTHS_S: Final = (4, 30, 9, 20, 6, 12, 25, 16)
_INDEXES: Final = "indexes"


def make_rooms(folder: Path) -> list[Path]:
    """Write the sample room, an index and a job for each length, and return the job files.

    They all have the same recordings, and stay in one ``folder``, whose job files of these names are replaced.
    """
    make_room(folder)
    (folder / _INDEXES).mkdir(exist_ok=True)
    jobs = []
    for length_s in LENGTHS_S:
        name = f"{ROOM}-{length_s:02}s"
        index = f"{_INDEXES}/{name}.json"
        _write(folder / index, _index(name, length_s))
        job = sample_job()
        job["Internal"]["JobId"] = job["Internal"]["RoomId"] = name
        job["Data"]["InputConfig"] = {"Index": index}
        _write(folder / f"{name}.json", job)
        jobs.append(folder / f"{name}.json")
    return jobs


def _index(name: str, length_s: int) -> dict[str, Any]:
    """The index of the first ``length_s`` seconds of the sample room."""
    files = [
        {
            "StreamId": take.stream,
            "Name": take.name,
            "StartTime": START_MS + take.start_ms,
            "EndTime": START_MS + min(take.start_ms + take.length_ms, length_s * 1000),
        }
        for take in TAKES
        if take.start_ms < length_s * 1000
    ]
    return {"JobId": name, "RoomId": name, "StartTime": START_MS, "Root": ROOM, "Files": files}


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
