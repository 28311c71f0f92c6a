"""Rooms of journals, finished in this process or by the command, and what is in the files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from owtmix.base.errors import MixError
from owtmix.jobfile.settings import Settings
from owtmix.recorder.finish import finish
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.recorder.room_folder import RoomFolder
from owtmix.recorder.tasks import RecordingTask
from owtmix.workers.base import Outcome
from tests.e2e.measure import beeps
from tests.recorder.senders import START_US, Sender, write_journals

FLASH_LUMA: Final = 200
"""A flash has 235, the brightest colour of a person 150."""
TIMEOUT_S: Final = 240
"""On a busy machine, for a million records."""


class Quiet:
    """A reporter that nobody listens to."""

    def advance(self, done_s: float) -> None:
        pass

    checkpoint = advance

    def heartbeat(self) -> None:
        pass

    def warn(self, message: str) -> None:
        pass


def do_here(task: RecordingTask) -> Outcome[RecordingTask]:
    """Do a task in this process."""
    try:
        value = task.run(Quiet())
    except MixError as error:
        return Outcome(task, error=error)
    task.check(value)
    return Outcome(task, value)


def lay_out(root: Path, senders: Sequence[Sender], **options: Any) -> RoomFolder:
    """A room with the journals of ``senders``; sessions are called s0, s1, ...."""
    root.mkdir(parents=True, exist_ok=True)
    for number, sender in enumerate(senders):
        write_journals(sender, root / "journals", f"s{number}")
    configure(root, **options)
    return RoomFolder(root)


def configure(root: Path, **options: Any) -> None:
    """Write the options of a room, whose job is ``job``."""
    (root / FINISH_FILE).write_bytes(FinishOptions(**({"job_id": "job", "room_id": "room"} | options)).to_json())


def finish_here(folder: RoomFolder, session: str | None = None) -> dict[str, Any]:
    """Finish a room in this process."""
    return finish(folder, Settings(), session, None, do_here)


def command(root: Path, *options: str) -> list[str]:
    """The command that finishes a room."""
    return [sys.executable, "-m", "owtmix.recorder.finish", str(root), *options]


def run_finish(root: Path, *options: str, given: str = "", **environment: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; returns its status, what it printed, and its log."""
    done = subprocess.run(
        command(root, *options),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        env=environment or None,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@dataclass(frozen=True, slots=True)
class Seen:
    """A file: when flashes and beeps begin in it, in milliseconds after ``START_US``, and its pictures."""

    flashes_ms: list[float]
    beeps_ms: list[float]
    times_ms: list[float]
    sizes: list[tuple[int, int]]
    codecs: tuple[str, ...]


def look(path: Path, entry: dict[str, Any], tone_hz: int) -> Seen:
    """Measure a recording whose entry in a report is ``entry``: what it presents first happens at its start."""
    times, sizes, bright = [], [], []
    with av.open(str(path)) as file:
        codecs = tuple(stream.codec_context.name for stream in file.streams)
        for frame in file.decode(video=0) if file.streams.video else ():
            times.append(_time_ms(frame))
            sizes.append((frame.width, frame.height))
            rows = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(-1, frame.planes[0].line_size)
            bright.append(float(rows[: frame.height, : frame.width].mean()) > FLASH_LUMA)
    sound = _sound(path)
    firsts = [*times[:1], *([sound[0]] if sound else [])]
    shift_ms = entry["start_ms"] - START_US / 1000 - min(firsts)
    flashes = [at + shift_ms for n, at in enumerate(times) if bright[n] and not (n and bright[n - 1])]
    heard = [at * 1000 + sound[0] + shift_ms for at in beeps(sound[1], tone_hz)] if sound else []
    return Seen(flashes, heard, [at + shift_ms for at in times], sizes, codecs)


def _sound(path: Path) -> tuple[float, NDArray[np.float32]] | None:
    """When the first sample is presented, in milliseconds, and all samples from there on, with holes as silence."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return None
        parts = [(_time_ms(frame), frame.to_ndarray()) for frame in file.decode(audio=0)]
    first_ms = parts[0][0]
    samples = np.zeros((2, round((parts[-1][0] - first_ms) * 48) + parts[-1][1].shape[1] + 48), np.float32)
    for at_ms, part in parts:
        at = round((at_ms - first_ms) * 48)
        samples[:, at : at + part.shape[1]] = part
    return first_ms, samples


def _time_ms(frame: av.VideoFrame | av.AudioFrame) -> float:
    assert frame.pts is not None
    assert frame.time_base is not None
    return float(frame.pts * frame.time_base * 1000)
