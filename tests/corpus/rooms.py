"""Rooms with files of the corpus and an intact neighbour, composed by the command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from tests.corpus import reference
from tests.corpus.row import Row
from tests.e2e.bench import COMMAND
from tests.support.people import Take, record
from tests.support.room import EPOCH_MS

FPS: Final = 20
COLUMNS: Final = 3
TILE: Final = (160, 120)
BACKGROUND: Final = (70, 20, 90)
NEIGHBOUR: Final = "ada_1"
TONE_HZ: Final = 9700
TONE_DB: Final = -26.0
COLOUR: Final = (35, 140, 60)
TIMEOUT_S: Final = 240

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in canvas pixels."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A file in a room: it joins at ``start_ms`` of the output and is ended by the index after ``limit_ms``."""

    row: Row
    stream: str
    start_ms: int
    limit_ms: int

    @property
    def end_s(self) -> float:
        """When its stream leaves, in output time."""
        return self.start_ms / 1000 + self.lasts_s

    @property
    def lasts_s(self) -> float:
        """How long it stays; the last picture of a screen stands until the index ends it."""
        limit_s = self.limit_ms / 1000
        return limit_s if self.row.screen and self.row.video else min(limit_s, self.row.end_s - self.row.first_s)

    def file_time(self, t: float) -> float:
        """Convert output time to file time."""
        return t - self.start_ms / 1000 + self.row.first_s


@dataclass(frozen=True)
class Composed:
    """An output. Tile 0 is the neighbour's; guests with a picture have the next ones in order."""

    guests: tuple[Guest, ...]
    path: Path
    report: dict[str, Any]

    @cached_property
    def pictures(self) -> list[reference.Planes]:
        return self._picture_track[0]

    @cached_property
    def matrix(self) -> str:
        return self._picture_track[1]

    @cached_property
    def _picture_track(self) -> tuple[list[reference.Planes], str]:
        return reference.read_planes(self.path)

    @cached_property
    def wave(self) -> reference.Wave:
        """The sound from output time 0."""
        wave, start = reference.read_wave(self.path)
        assert start == 0
        return wave

    def cells(self, number: int, box: Box, grid: tuple[int, int] = reference.GRID) -> reference.Cells:
        """The mean colours in a box of output picture ``number``."""
        left, top, right, bottom = box
        y, u, v = self.pictures[number]
        half = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        return reference.cells((y[top:bottom, left:right], u[half], v[half]), grid, self.matrix, full_range=False)


def tile(number: int) -> Box:
    """The box of tile ``number``; 0 is the neighbour's."""
    (width, height), (row, column) = TILE, divmod(number, COLUMNS)
    return column * width, row * height, (column + 1) * width, (row + 1) * height


def invite(rows: Sequence[Row], limit_s: float, *, in_turn: bool = False) -> tuple[Guest, ...]:
    """Guests who join shortly after each other, between frames; with ``in_turn``, after the previous one has left."""
    guests: list[Guest] = []
    for number, row in enumerate(rows):
        start_ms = round(guests[-1].end_s * 1000) + 300 if in_turn and guests else 137 * number + 50
        guests.append(Guest(row, f"f{number}_{2 if row.screen else 1}", start_ms, round(limit_s * 1000)))
    return tuple(guests)


def compose(guests: Sequence[Guest], left_out: Sequence[Row], folder: Path) -> Composed:
    """Write a room with ``guests`` and the unusable files ``left_out``, and run the command, which must succeed."""
    root = folder / "files"
    root.mkdir()
    length_ms = round(max(guest.end_s for guest in guests) * 1000) + 1000
    neighbour = Take(NEIGHBOUR, 0, length_ms, COLOUR, TONE_HZ, level_db=TONE_DB, container="webm", audio_kbps=128)
    record(neighbour, root / "ada.webm")
    files: list[dict[str, Any]] = [{"StreamId": NEIGHBOUR, "Name": "ada.webm", "StartTime": EPOCH_MS}]
    for guest in guests:
        start = EPOCH_MS + guest.start_ms
        entry = {"StreamId": guest.stream, "Name": guest.row.path.name, "StartTime": start}
        files.append(entry | {"EndTime": start + guest.limit_ms})
    for number, row in enumerate(left_out):
        files.append({"StreamId": f"out{number}_1", "Name": row.path.name, "StartTime": EPOCH_MS})
    for row in (*(guest.row for guest in guests), *left_out):
        shutil.copyfile(row.path, root / row.path.name)
    seen = [NEIGHBOUR, *(guest.stream for guest in guests if guest.row.video)]
    job_id = f"corpus-{uuid4().hex[:12]}"
    (folder / "index.json").write_text(json.dumps({"JobId": job_id, "Root": "files", "Files": files}))
    (folder / "cfg.json").write_text(json.dumps(_request(job_id, seen)))
    command = [str(COMMAND), "--index", "index.json", str(folder / "cfg.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return Composed(tuple(guests), folder / "out" / f"{job_id}.mp4", json.loads(done.stdout))


def _request(job_id: str, streams: Sequence[str]) -> dict[str, Any]:
    """The job file. Every stream has a fixed position, independent of others joining and leaving."""
    rows = -(-len(streams) // COLUMNS)
    positions = []
    for number, stream in enumerate(streams):
        left, top, right, bottom = tile(number)
        region = {"X": left, "Y": top, "Width": right - left, "Height": bottom - top}
        positions.append({"RtcStreamId": stream, "Region": region})
    video = {"Width": COLUMNS * TILE[0], "Height": rows * TILE[1], "Fps": FPS, "BitRate": 8000}
    return {
        "Action": "job.start",
        "Internal": {"JobId": job_id, "Mode": 1},
        "Data": {
            "TranscodingConfig": {"Video": video, "Audio": {"BitRate": 256}},
            "MixerConfig": {
                "PositionConfig": positions,
                "BackgroundColor": dict(zip("RGB", BACKGROUND, strict=True)),
            },
            "SubscribeConfig": {"VideoStreamType": 1},
            "RecordingConfig": {"StorageConfig": {"Vendor": "local", "Bucket": ".", "FileNamePrefix": "out/$JobId"}},
        },
    }
