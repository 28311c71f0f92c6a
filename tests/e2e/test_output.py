"""The output file: container, codecs, tracks, tags, watermarks and reproducibility."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from tests.e2e import measure
from tests.e2e.bench import Bench, Composed, check_everything, check_packing, check_pictures, check_sync, run
from tests.e2e.model import Box
from tests.support.people import person
from tests.support.room import Room

PAIR: Final = (
    person(0, 0, 5200, 700, 4300, rate_hz=44_100, channels=1),
    person(1, 613, 4000, 900, container="webm"),
)


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_mp4_is_h264_with_two_second_gops_and_its_index_in_front(bench: Bench, profile: str) -> None:
    composed = bench.compose(Room(PAIR, size=(320, 180), fps=15, profile=profile))
    video = composed.video
    assert composed.path.suffix == ".mp4"
    assert (video.codec, composed.sound.codec, composed.sound.rate_hz) == ("h264", "aac", 48_000)
    assert profile in (video.profile or "").lower()
    assert video.key_frames == (0, 30, 60)
    boxes = measure.boxes(composed.path)
    assert boxes.index("moov") < boxes.index("mdat")
    check_everything(composed)


def test_webm_is_vp9_and_opus(bench: Bench) -> None:
    composed = bench.compose(Room(PAIR, size=(320, 180), recording={"FileType": ["webm"]}))
    assert composed.path.suffix == ".webm"
    assert (composed.video.codec, composed.sound.codec) == ("vp9", "opus")
    check_everything(composed)


def test_media_channel_1_is_sound_alone(bench: Bench) -> None:
    composed = bench.compose(Room(PAIR, recording={"MediaChannel": 1}))
    assert measure.read_video(composed.path) is None
    for take in PAIR:
        measured = measure.beeps(composed.sound.samples, take.tone_hz)
        assert measured == pytest.approx([float(t) for t in composed.model.beeps(take.stream)], abs=0.005)


def test_media_channel_2_is_picture_alone(bench: Bench) -> None:
    composed = bench.compose(Room(PAIR, recording={"MediaChannel": 2}))
    assert measure.read_sound(composed.path) is None
    check_packing(composed)
    check_pictures(composed)


def test_the_sound_is_as_long_as_the_picture(bench: Bench) -> None:
    composed = bench.compose(Room(PAIR, fps=7, size=(320, 180)))
    sound_s = composed.sound.samples.shape[1] / measure.RATE_HZ
    assert 0 <= sound_s - len(composed.video.times_s) / 7 < 1024 / measure.RATE_HZ


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_the_same_job_gives_the_same_bytes_on_any_number_of_cores(bench: Bench, kind: str) -> None:
    room = Room(PAIR, recording={"FileType": [kind]})
    job_file = bench.lay_out(room)
    first = run(room, job_file).path.read_bytes()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the command inherits it
    try:
        assert run(room, job_file).path.read_bytes() == first
    finally:
        os.sched_setaffinity(0, cores)


def test_watermarks_are_drawn_last_and_nowhere_else(bench: Bench) -> None:
    marks = [
        {"Type": 1, "X": 20, "Y": 20, "Alpha": 1},
        {"Type": 2, "Image": "logo.png", "X": 560, "Y": 20, "Alpha": 1},
        {"Type": 3, "Text": "房间 12", "X": 20, "Y": 300, "Alpha": 0.8},
    ]
    room = Room(PAIR, mixer={"WaterMark": marks, "ResizeMode": 1})
    job_file = bench.lay_out(room)
    Image.new("RGB", (40, 24), (250, 220, 0)).save(job_file.parent / "logo.png")
    composed = run(room, job_file)
    clock, logo, text = (10, 10, 330, 50), (554, 14, 606, 50), (10, 290, 150, 330)
    check_pictures(composed, ignored=(clock, logo, text))
    check_sync(composed)
    inner = composed.video.pictures[10][14:20, 284:296].reshape(-1, 3).mean(axis=0)
    assert np.abs(inner - (250, 220, 0)).max() < 26
    assert _bright_share(composed, 10, text) > 0.02
    assert _bright_share(composed, 10, clock) > 0.02
    seconds = [_part(composed, frame, clock) for frame in (10, 14, 25)]
    assert np.abs(seconds[0] - seconds[2]).max() > 100, "the clock stands still"


def _part(composed: Composed, frame: int, box: Box) -> Any:
    left, top, right, bottom = (edge // 2 for edge in box)
    return composed.video.pictures[frame][top:bottom, left:right]


def _bright_share(composed: Composed, frame: int, box: Box) -> float:
    return float((_part(composed, frame, box).min(axis=2) > 100).mean())
