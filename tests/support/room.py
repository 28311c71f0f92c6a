"""A room to compose: takes, and sections of the job file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.people import Take

Json = dict[str, Any]

EPOCH_MS: Final = 1_795_327_385_123
"""2026-11-22 14:03:05.123 in Beijing, not a multiple of a frame's duration."""


@dataclass(frozen=True, slots=True)
class Room:
    """``audio``, ``mixer``, ``subscribe``, ``job`` and ``recording`` are the job file's sections of these names.

    ``updates`` are pairs of milliseconds since ``EPOCH_MS`` and an update without its time.
    """

    takes: tuple[Take, ...]
    size: tuple[int, int] = (640, 360)
    fps: int = 10
    bit_rate_kbps: int = 2000
    profile: str = "high"
    audio: Json = field(default_factory=dict)
    mixer: Json = field(default_factory=dict)
    subscribe: Json = field(default_factory=dict)
    job: Json = field(default_factory=dict)
    recording: Json = field(default_factory=dict)
    updates: tuple[tuple[int, Json], ...] = ()

    def write(self, folder: Path, job_id: str, record: Callable[[Take, Path], None]) -> Path:
        """Write the room as a local store to ``folder``; returns the job file. ``record`` writes the file of a take."""
        root = folder / "room"
        root.mkdir(parents=True)
        files = []
        for number, take in enumerate(self.takes):
            name = f"{number}-{take.stream}.{take.container}"
            record(take, root / name)
            entry = {"StreamId": take.stream, "Name": name, "StartTime": EPOCH_MS + take.start_ms}
            files.append(entry if take.end_ms is None else entry | {"EndTime": EPOCH_MS + take.end_ms})
        index = {"JobId": job_id, "RoomId": "room", "StartTime": EPOCH_MS, "Root": "room", "Files": files}
        (folder / f"{job_id}.json").write_text(json.dumps(index))
        job_file = folder / "cfg.json"
        job_file.write_text(json.dumps(self._request(job_id)))
        return job_file

    def _request(self, job_id: str) -> Json:
        """The job.start request."""
        width, height = self.size
        video: Json = {"Width": width, "Height": height, "Fps": self.fps, "BitRate": self.bit_rate_kbps}
        video["Profile"] = self.profile
        store = {"Vendor": "local", "Bucket": ".", "FileNamePrefix": "out/$JobId"}
        return {
            "Action": "job.start",
            "Internal": {"JobId": job_id, "RoomId": "room", "Mode": 1},
            "Data": {
                "JobConfig": self.job,
                "TranscodingConfig": {"Video": video, "Audio": self.audio},
                "MixerConfig": self.mixer,
                "SubscribeConfig": self.subscribe,
                "RecordingConfig": {"StorageConfig": store} | self.recording,
                **(
                    {"Updates": [{"At": EPOCH_MS + ms} | update for ms, update in self.updates]} if self.updates else {}
                ),
            },
        }
