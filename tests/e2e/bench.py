"""Runs the command on a room and compares the output with the model."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np

from tests.e2e import measure
from tests.e2e.model import Box, Model, placed
from tests.e2e.painting import COLOUR_TOLERANCE, Picture, mismatch, paint
from tests.support.people import Take, record
from tests.support.room import Room

COMMAND: Final = Path(__file__).parents[2] / "bin" / "owt-main"

PICTURE_TOLERANCE_FRAMES: Final = 1
"""Tolerance of a change of picture: containers round times to milliseconds, and output frames are discrete."""

SOUND_TOLERANCE_S: Final = 0.005
"""Tolerance of the time of a beep: containers round to milliseconds, and 5 ms are imperceptible."""

END_TOLERANCE_S: Final = Fraction(1024, 44_100)
"""The last codec frame of sound may be presented in full, beyond the end of the recording."""

WRONG_SHARE: Final = 0.005
"""Allowed share of wrong pixels: a codec may leave residue of an earlier picture."""

TIMEOUT_S: Final = 240


@dataclass(frozen=True)
class Composed:
    """A finished run: its output, its result and its messages."""

    room: Room
    path: Path
    report: dict[str, Any]
    messages: str

    @cached_property
    def model(self) -> Model:
        return Model(self.room)

    @cached_property
    def video(self) -> measure.Video:
        video = measure.read_video(self.path)
        assert video, "there is no picture"
        return video

    @cached_property
    def sound(self) -> measure.Sound:
        sound = measure.read_sound(self.path)
        assert sound, "there is no sound"
        return sound


class Bench:
    """Composes rooms in ``folder`` on ``device``. A take that several rooms share is encoded once."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._folder = folder
        self._device = device
        self._made: dict[Take, Path] = {}

    def lay_out(self, room: Room) -> Path:
        """Write ``room`` to a new folder; returns its job file."""
        job_id = f"e2e-{uuid4().hex[:12]}"
        return room.write(self._folder / job_id, job_id, self._record)

    def compose(self, room: Room, *options: str) -> Composed:
        """Run the command on ``room``; it must succeed."""
        composed = run(room, self.lay_out(room), "--device", self._device, *options)
        device = composed.report["device"]
        assert device is None or device["composed_on"] == [self._device]
        return composed

    def _record(self, take: Take, path: Path) -> None:
        if take not in self._made:
            self._made[take] = self._folder / f"{len(self._made)}.{take.container}"
            record(take, self._made[take])
        shutil.copyfile(self._made[take], path)


def run(room: Room, job_file: Path, *options: str) -> Composed:
    """Compose ``job_file``, which belongs to ``room``."""
    command = [str(COMMAND), *options, str(job_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    (path,) = (job_file.parent / "out").iterdir()
    return Composed(room, path, json.loads(done.stdout), done.stderr)


def check_everything(composed: Composed) -> None:
    """Checks for any room with picture and sound."""
    check_packing(composed)
    check_pictures(composed)
    check_sync(composed)


def check_packing(composed: Composed) -> None:
    """Frame count, constant frame rate, length of the sound, tags, and the report's values of these."""
    video, room = composed.video, composed.room
    assert video.size == room.size
    assert video.is_limited_range
    assert video.matrix in {1, 5, 6}
    assert len(video.times_s) in composed_frames(composed)
    assert list(video.times_s) == [Fraction(i, room.fps) for i in range(len(video.times_s))]
    assert all(
        later - earlier == 2 * room.fps for earlier, later in zip(video.key_frames, video.key_frames[1:], strict=False)
    )
    assert composed.report["frames"] == len(video.times_s)
    assert abs(composed.report["duration_s"] - len(video.times_s) / room.fps) < 0.001


def composed_frames(composed: Composed) -> range:
    """Accepted numbers of frames: the model's, or more by the last codec frame of sound."""
    model = composed.model
    last = -(-(model.duration_s + END_TOLERANCE_S) * composed.room.fps // 1)
    return range(model.frames, int(last) + 1)


def check_pictures(composed: Composed, ignored: tuple[Box, ...] = ()) -> None:
    """Every frame matches the model's frame or a neighbour of it."""
    scenes: Sequence[Any] = composed.model.scenes
    room = composed.room
    background = room.mixer.get("BackgroundColor", {})
    colour = background.get("R", 0), background.get("G", 0), background.get("B", 0)
    scenes = tuple(zip(scenes, composed.model.modes, strict=True))
    expected: dict[Any, Picture] = {(scene, mode): paint(scene, room.size, mode, colour) for scene, mode in set(scenes)}
    wrong = {}
    for number, picture in enumerate(composed.video.pictures[: len(scenes)]):
        near = scenes[max(0, number - PICTURE_TOLERANCE_FRAMES) : number + PICTURE_TOLERANCE_FRAMES + 1]
        likely = dict.fromkeys((scenes[number], *near))
        shares = (mismatch(picture, expected[scene], ignored) for scene in likely)
        if all(share > WRONG_SHARE for share in shares):
            wrong[number] = f"{mismatch(picture, expected[scenes[number]], ignored):.1%}"
    assert not wrong, f"frames with wrong pixels: {wrong}"


def check_placeholders(composed: Composed) -> None:
    """A stream without a picture has a grey tile; there is at least one such tile."""
    colourful = {}
    scenes = composed.model.scenes
    sure = [i for i in range(1, len(scenes) - 1) if scenes[i - 1] == scenes[i] == scenes[i + 1]]
    stood_in = [(i, shown) for i in sure for shown in scenes[i] if shown.colour is None]
    for number, shown in stood_in:
        left, top, right, bottom = (edge // 2 for edge in shown.tile)
        tile = composed.video.pictures[number][top + 2 : bottom - 2, left + 2 : right - 2]
        if np.ptp(tile, axis=2).max() > COLOUR_TOLERANCE:
            colourful[number] = shown.stream
    assert stood_in
    assert not colourful, f"frames with colour where a placeholder must be: {colourful}"


def check_sync(composed: Composed) -> None:
    """Every flash is within half a frame and every beep within 5 ms of its time; none is missing or extra."""
    model, room = composed.model, composed.room
    for take in {take.stream: take for take in room.takes}.values():
        predicted = [float(t) for t in model.beeps(take.stream)]
        measured = measure.beeps(composed.sound.samples, take.tone_hz)
        assert len(measured) == len(predicted), f"{take.stream}: beeps at {measured}, expected at {predicted}"
        late = [m - p for m, p in zip(measured, predicted, strict=True)]
        assert all(abs(by) < SOUND_TOLERANCE_S for by in late), f"{take.stream}: beeps are late by {late}"
        flashes = measured_flashes(composed, take.stream)
        expected = model.flashes(take.stream)
        assert len(flashes) == len(expected), f"{take.stream}: flashes at {flashes}, expected at {expected}"
        # The model shows the middle of each frame's time: in the frames that it names, a flash is half a frame early or
        # late at most.
        assert flashes == expected, f"{take.stream}: flashes at {flashes}, expected at {expected}"


def measured_flashes(composed: Composed, stream: str) -> list[int]:
    """Numbers of the frames in which the tile of ``stream`` turns white."""
    mode = composed.room.mixer.get("ResizeMode", 2)
    starts, was_white = [], False
    for number, (picture, scene) in enumerate(zip(composed.video.pictures, composed.model.scenes, strict=False)):
        boxes = [placed(s.size, s.tile, mode)[0] for s in scene if s.stream == stream and s.colour]
        is_white = any(measure.luma(picture, box) > measure.FLASH_LUMA for box in boxes)
        if is_white and not was_white:
            starts.append(number)
        was_white = is_white
    return starts
