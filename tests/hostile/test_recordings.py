"""A room of hostile recordings: they are refused or used, no connection is made, and the neighbour is intact."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import pytest

from tests.e2e import measure
from tests.hostile import files
from tests.hostile.conftest import knocked
from tests.support import people
from tests.support.command import Command, record_once
from tests.support.people import Take
from tests.support.room import EPOCH_MS, Room

NEIGHBOUR: Final = Take("anna_1", 0, 2000, people.COLOURS[0], 440, size=(160, 90), level_db=-20, container="webm")

NOT_MEDIA: Final = "is not an MP4, WebM, Matroska, Ogg or WAV file"
NOTHING_DECODES: Final = "holds no picture or sound that can be decoded"
TOO_MUCH: Final = "cannot be opened: it has more than 32 streams, or asks for too much memory"
MISSING: Final = "does not exist"

LEFT_OUT: Final = {
    "playlist.mp4": NOT_MEDIA,
    "script.webm": NOT_MEDIA,
    "session.mp4": NOT_MEDIA,
    "dash.mp4": NOT_MEDIA,
    "bomb.webm": NOTHING_DECODES,
    "real-bomb.mp4": NOTHING_DECODES,
    "tracks.mp4": TOO_MUCH,
    "deep.mp4": "holds no picture or sound of a codec that is accepted",
    "table.mp4": TOO_MUCH,
    "private.webm": "cannot be opened: End of file",
    "link.mp4": "leads out of the folder",
    "concat:secret.mp4": MISSING,
    "subfile,,start,0,end,0,,:secret.mp4": MISSING,
    "http:/127.0.0.1/a.mp4": MISSING,
    "pipe:0": MISSING,
    "folder.mp4": "is not a file",
}
"""Part of the reason for leaving a file out; all others are used."""

USED: Final = (
    "reference.mp4",
    "overflow.webm",
    "late-bomb.webm",
    "years.mp4",
    "centuries.webm",
    "streams.webm",
    "jumps.webm",
)


@dataclass(frozen=True, slots=True)
class Composed:
    report: dict[str, Any]
    messages: str
    path: Path


@pytest.fixture(scope="session")
def room(command: Command, port: int, tmp_path_factory: pytest.TempPathFactory) -> Composed:
    folder = tmp_path_factory.mktemp("hostile-room") / "store"
    job_id = f"hostile-{uuid4().hex[:12]}"  # several test processes may compose it at the same time
    job_file = Room((NEIGHBOUR,), size=(320, 180), fps=5).write(folder, job_id, record_once)
    content = {name: make(port) for name, make in files.REACHING_OUT.items()}
    content |= {name: make() for name, make in files.GREEDY.items()}
    for name, data in content.items():
        (folder / "room" / name).write_bytes(data)
    (folder / "secret.mp4").write_bytes(files.healthy("mp4"))
    (folder.parent / "outside.mp4").write_bytes(files.healthy("mp4"))
    (folder / "room" / "link.mp4").symlink_to("../../outside.mp4")
    (folder / "room" / "folder.mp4").mkdir()
    index = json.loads((folder / f"{job_id}.json").read_text())
    for number, name in enumerate((*LEFT_OUT, *USED)):
        times = {"StartTime": EPOCH_MS, "EndTime": EPOCH_MS + 2000}
        index["Files"].append({"StreamId": f"guest{number}_1", "Name": name} | times)
    (folder / f"{job_id}.json").write_text(json.dumps(index))
    done = command.run(job_file)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    return Composed(report, done.stderr, Path(report["output"]))


def test_each_file_is_expected() -> None:
    made = {*files.REACHING_OUT, *files.GREEDY}
    assert made <= {*LEFT_OUT, *USED}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_it_is_left_out_with_one_warning_that_says_why(room: Composed, name: str) -> None:
    warnings = [warning for warning in room.report["warnings"] if warning.startswith(f"room/{name} ")]
    assert len(warnings) == 1
    assert LEFT_OUT[name] in warnings[0]
    (entry,) = (entry for entry in room.report["inputs"] if entry["file"] == f"room/{name}")
    assert LEFT_OUT[name] in entry["left_out"]


@pytest.mark.parametrize("name", USED)
def test_it_is_used_as_far_as_it_goes(room: Composed, name: str) -> None:
    (entry,) = (entry for entry in room.report["inputs"] if entry["file"] == f"room/{name}")
    assert entry["left_out"] is None
    assert 0 < entry["picture"]["used_to_s"] <= 2


def test_a_bomb_behind_a_healthy_picture_is_damage(room: Composed) -> None:
    (entry,) = (entry for entry in room.report["inputs"] if entry["file"] == "room/late-bomb.webm")
    assert entry["picture"]["sizes"] == ["160x90"]
    assert entry["picture"]["damage"] == {"count": 1, "first_s": 0.5}
    (warning,) = (warning for warning in room.report["warnings"] if "late-bomb" in warning)
    assert "is damaged in 1 place, first at 00:00:00.500 of the file" in warning


def test_no_connection_was_made(room: Composed, port: int) -> None:
    assert room.report
    assert not knocked(port)


def test_the_neighbour_is_intact(room: Composed) -> None:
    video, sound = measure.read_video(room.path), measure.read_sound(room.path)
    assert video
    assert sound
    assert len(video.pictures) == 10
    red = np.array(people.COLOURS[0])
    for picture in video.pictures:
        assert (np.abs(picture.astype(int) - red).max(axis=2) < 20).any()
    levels = [measure.level_db(sound.samples[0], 440, i / 4 + 0.02, i / 4 + 0.23) for i in range(8)]
    assert all(abs(level + 20) < 1 for level in levels)


def test_people_read_no_traceback_and_no_control_character(room: Composed) -> None:
    assert "Traceback" not in room.messages
    assert not re.search(r"[^\n\x20-\x7e\u00a0-\uffff]", room.messages)


@pytest.mark.serial
@pytest.mark.parametrize(
    ("name", "words"),
    [("tiny.webm", "1000000 damaged pictures or packets"), ("torn.webm", "pieces, more than")],
)
def test_a_million_packets_are_counted_or_refused_in_time(
    command: Command, tmp_path: Path, name: str, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(files.LENGTHY[name]())
    done = command.run("-q", "--probe", path)
    assert words in done.stdout + done.stderr
