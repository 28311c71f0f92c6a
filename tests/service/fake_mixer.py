"""What the service sees of a mixer: ``python fake_mixer.py ROOM_FOLDER``. ``mixer.json`` beside it says what it does.

It goes on from the chunks that are there, holds its lock, tells how far it is, notes how many updates it read, and
makes the mix when it is told to stop.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

STATUS_RUNNING = 6


def main(room: Path) -> int:
    told: dict[str, Any] = json.loads((room / "mixer.json").read_text()) if (room / "mixer.json").exists() else {}
    live = room / "live"
    with (live / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return STATUS_RUNNING
        with (live / "starts").open("a") as starts:
            starts.write(f"{os.getpid()}\n")
        if told.get("fails"):
            return 3
        chunks = live / "chunks"
        number = len(chunks.read_text().splitlines()) if chunks.exists() else 0
        while not (live / "stop").exists() or told.get("deaf"):
            assert json.loads((room / "finish.json").read_text())["job_id"] == room.name
            updates = len((room / "updates.jsonl").read_text().splitlines())
            with chunks.open("a") as written:
                written.write(f"{updates}\n")
            number += 1
            replace(live / "state.json", state(number, told))
            if (live / "mixer.json").exists():
                told |= json.loads((live / "mixer.json").read_text())
            time.sleep(0.05)
        if told.get("hangs_at_end"):
            (live / "hangs").touch()
            time.sleep(600)
        made = [] if told.get("nobody") else [*told.get("files", []), "live/mix.mp4"]
        (live / "mix.mp4").write_bytes(chunks.read_bytes() if chunks.exists() else b"none")
        replace(
            live / "result.json", {"files": made, "duration_s": 2.0 * number, "frames": 30 * number, "warnings": []}
        )
    return 0


def state(number: int, told: dict[str, Any]) -> dict[str, Any]:
    return {
        "chunks": number,
        "done_s": 2.0 * number,
        "behind_s": told.get("behind_s", 2.0),
        "begun_us": None if told.get("nobody") else 1,
        "warnings": told.get("warnings", []),
        "files": told.get("files", []),
    }


def replace(path: Path, value: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value))
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
