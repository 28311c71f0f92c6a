"""Rooms to be mixed: their journals, the process that mixes, and what finished recordings of them become."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import av

from owtmix.recorder.journal import Frame, JournalReader, JournalWriter
from owtmix.recorder.live_folder import LIVE, STOP_FILE
from owtmix.recorder.room_folder import RoomFolder
from tests.e2e.measure import Samples, Video, read_sound, read_video
from tests.recorder.finishing import finish_here, lay_out
from tests.recorder.senders import START_US, Sender
from tests.support.command import Command

FPS: Final = 20
CHUNK_S: Final = 2
VIDEO: Final = {"Codec": "h264", "Width": 320, "Height": 180, "Fps": FPS, "BitRate": 500, "Profile": "high"}
DATA: Final = {"TranscodingConfig": {"Video": VIDEO}, "MixerConfig": {"MixedVideoLayout": 1}}
TIMEOUT_S: Final = 120


@dataclass(frozen=True, slots=True)
class Mix:
    """A finished mix: the report of its process, its picture and its sound, and the bytes of each chunk's pictures."""

    report: dict[str, Any]
    video: Video | None
    samples: Samples
    chunks: list[list[bytes]]


def begin(root: Path, senders: Sequence[Sender], updates: Sequence[dict[str, Any]] = (), **more: Any) -> Path:
    """Lay out a room that has ended, to be mixed."""
    lay_out(root, senders, **({"data": DATA} | more))
    root.chmod(0o700)
    if updates:
        (root / "updates.jsonl").write_text("".join(f"{json.dumps(update)}\n" for update in updates))
    stop(root)
    return root


def play(root: Path, senders: Sequence[Sender], **more: Any) -> Callable[[], int]:
    """Lay out a room into which ``senders`` send from now on, in real time.

    Returns:
        Waits until the last one has ended; gives by how much the room is later than ``START_US``, in microseconds.
    """
    lay_out(root.with_name("sent"), senders)
    lay_out(root, [], **({"data": DATA} | more))
    root.chmod(0o700)
    (root / "journals").mkdir()
    later_us = time.time_ns() // 1000 - START_US
    sent = sorted((root.with_name("sent") / "journals").iterdir())
    players = [threading.Thread(target=_played, args=(path, root / "journals", later_us)) for path in sent]
    for player in players:
        player.start()

    def wait() -> int:
        for player in players:
            player.join()
        return later_us

    return wait


def _played(path: Path, folder: Path, later_us: int) -> None:
    """Write a journal again, as late, each record when it arrives."""
    with JournalReader(path) as reader:
        records = list(reader.records())
        head = reader.head
    writer = None
    for record in records:
        arrived_us = record.arrived_us + later_us
        time.sleep(max(0.0, arrived_us / 1e6 - time.time()))
        writer = writer or JournalWriter(folder / path.name, head)
        if isinstance(record, Frame):
            writer.frame(replace(record, arrived_us=arrived_us))
        else:
            writer.report(replace(record, arrived_us=arrived_us, ntp_us=record.ntp_us + later_us))
    if writer:
        writer.end()


def stop(root: Path) -> None:
    """Say that nothing more is recorded."""
    (root / LIVE).mkdir(mode=0o700, exist_ok=True)
    (root / LIVE / STOP_FILE).touch()


def update(at_ms: int, action: str, **data: Any) -> dict[str, Any]:
    """An update so many milliseconds after the room began."""
    return {"At": START_US // 1000 + at_ms, "Action": action, "Data": data}


def mixing(root: Path) -> list[str]:
    """The command that mixes a room."""
    return [sys.executable, "-m", "owtmix.live.mix", str(root)]


def mixed(root: Path) -> Mix:
    """Mix a room to its end."""
    done = subprocess.run(mixing(root), capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return look(root)


def look(root: Path) -> Mix:
    """What a mix has become."""
    report = json.loads((root / LIVE / "result.json").read_bytes())
    path = root / report["files"][0]
    sound = read_sound(path)
    assert sound
    return Mix(report, read_video(path), sound.samples, _chunks(path))


def composed(root: Path, command: Command) -> Mix:
    """What composing the recordings of a room gives, in chunks that are as long."""
    finish_here(RoomFolder(root))
    done = command.run("--chunk", str(CHUNK_S), root / "cfg.json")
    assert done.returncode == 0, done.stderr
    path = root / "job.mp4"
    sound = read_sound(path)
    assert sound
    return Mix({}, read_video(path), sound.samples, _chunks(path))


def _chunks(path: Path) -> list[list[bytes]]:
    with av.open(str(path)) as file:
        if not file.streams.video:
            return []
        packets = [bytes(packet) for packet in file.demux(file.streams.video[0]) if packet.size]
    each = CHUNK_S * FPS
    return [packets[first : first + each] for first in range(0, len(packets), each)]
