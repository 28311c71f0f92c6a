"""Journals of publishers by RTMP become MP4: AAC is copied, and pictures keep the order in which they are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest

from owtmix.base.ids import StreamId
from owtmix.recorder.aac_packet import AacFormat
from owtmix.recorder.journal import Codec, Frame, JournalHead, JournalWriter
from owtmix.recorder.room_folder import RoomFolder
from tests.recorder.finishing import Seen, configure, finish_here, look
from tests.recorder.senders import START_US

FPS: Final = 25
SECONDS: Final = 4
MARKS_MS: Final = (1000, 2000, 3000)
LATE_MS: Final = 30
"""From capture to arrival, at least."""
SOUND_LATE_MS: Final = 120
"""The same of sound, which waits for pictures."""
PICTURE_MS: Final = 1000 / FPS
HEARD_MS: Final = 25.0
"""By which a beep may be off: a frame of AAC."""
FROM_MS: Final = 5_000
"""What the publisher's clock says at ``START_US``."""


@dataclass(frozen=True)
class Sent:
    """A frame, when it is shown and by how much it is decoded before, in milliseconds after ``START_US``."""

    at_ms: int
    lead_ms: int
    is_key: bool
    data: bytes


@cache
def pictures(b_frames: int) -> tuple[Sent, ...]:
    """Pictures that flash at ``MARKS_MS``, in the order in which they are decoded."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 160, 96, "yuv420p"
    context.time_base, context.framerate, context.thread_count, context.gop_size = Fraction(1, 1000), FPS, 1, FPS
    context.options = {"preset": "ultrafast", "bf": str(b_frames), "b-adapt": "0", "sc_threshold": "0"}
    frames: list[av.VideoFrame | None] = []
    for number in range(SECONDS * FPS):
        at_ms = number * 1000 // FPS
        plane = np.full((144, 160), 128, np.uint8)
        plane[:96] = 235 if any(mark <= at_ms < mark + 200 for mark in MARKS_MS) else 60
        frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
        frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
        frames.append(frame)
    packets = [packet for frame in [*frames, None] for packet in context.encode(frame)]
    return tuple(Sent(one.pts, one.pts - one.dts, one.is_keyframe, bytes(one)) for one in packets)


@cache
def sounds(rate_hz: int, layout: str) -> tuple[Sent, ...]:
    """Frames of AAC that beep at ``MARKS_MS``."""
    context: Any = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format, context.bit_rate = rate_hz, layout, "fltp", 96_000
    context.open()
    channels = 1 if layout == "mono" else 2
    sound_format = AacFormat.from_config(bytes(context.extradata))
    assert sound_format == AacFormat(2, rate_hz, channels)
    found: list[Sent] = []
    for number in range(SECONDS * rate_hz // 1024):
        times = (number * 1024 + np.arange(1024)) / rate_hz
        beeps = np.any([(mark / 1000 <= times) & (times < mark / 1000 + 0.1) for mark in MARKS_MS], axis=0)
        wave = np.where(beeps, 0.2 * np.sin(2 * np.pi * 700 * times), 0).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave] * channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, number * 1024, Fraction(1, rate_hz)
        for packet in context.encode(frame):
            at_ms = round(packet.pts * 1000 / rate_hz)
            found.append(Sent(at_ms, 0, True, sound_format.frame(bytes(packet))))
    return tuple(found)


def write(folder: Path, kind: Any, codec: Codec, frames: Sequence[Sent], number: int = 0) -> None:
    """A journal as the room's process writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    head = JournalHead("s0", StreamId("alice", 1), kind, codec, 1000, is_common=True)
    writer = JournalWriter(folder / f"s0.{kind}.{number}.journal", head)
    sent_ms = 0
    for frame in frames:
        sent_ms = max(sent_ms, frame.at_ms)  # a picture that needs a later one is sent after that
        arrived_us = START_US + (sent_ms + (LATE_MS if kind == "video" else SOUND_LATE_MS)) * 1000
        writer.frame(Frame(FROM_MS + frame.at_ms, arrived_us, frame.is_key, frame.data, frame.lead_ms))
    writer.end()


def finished(root: Path, **options: Any) -> Iterator[tuple[Path, Seen]]:
    """The files of the room, and what is in them."""
    configure(root, **options)
    report = finish_here(RoomFolder(root))
    assert not report["left_out"]
    for entry in report["files"]:
        path = root / "recordings" / entry["name"]
        yield path, look(path, entry, 700)


def times(path: Path, kind: str = "video") -> list[tuple[float, float]]:
    """When each packet is shown and decoded, in milliseconds, in the order of decoding."""
    with av.open(str(path)) as file:
        (stream,) = (one for one in file.streams if one.type == kind)
        assert stream.time_base
        tick_ms = float(stream.time_base * 1000)
        packets = [(one.pts, one.dts) for one in file.demux(stream)]
    return [(pts * tick_ms, dts * tick_ms) for pts, dts in packets if pts is not None and dts is not None]


@pytest.mark.parametrize("b_frames", [0, 2, 4])
def test_pictures_are_shown_when_they_were_captured(tmp_path: Path, b_frames: int) -> None:
    write(tmp_path / "journals", "video", "h264", pictures(b_frames))
    write(tmp_path / "journals", "audio", "aac", sounds(48_000, "stereo"))
    ((path, seen),) = finished(tmp_path)
    assert path.suffix == ".mp4"
    assert seen.codecs == ("h264", "aac")
    found = times(path)
    assert len(found) == len(seen.times_ms) == SECONDS * FPS
    decoded = [dts for _, dts in found]
    assert decoded == sorted(set(decoded))
    assert all(pts >= dts for pts, dts in found)
    assert ([pts for pts, _ in found] != sorted(pts for pts, _ in found)) == (b_frames > 0)
    gaps = [later - at for at, later in pairwise(seen.times_ms)]
    assert max(abs(gap - PICTURE_MS) for gap in gaps) < 1
    for mark, flash, beep in zip(MARKS_MS, seen.flashes_ms, seen.beeps_ms, strict=True):
        assert flash == pytest.approx(mark + LATE_MS, abs=1)
        assert beep == pytest.approx(mark + LATE_MS, abs=HEARD_MS), "sound keeps to pictures, not to its own arrival"


@pytest.mark.parametrize(("rate_hz", "layout"), [(48_000, "stereo"), (44_100, "mono"), (22_050, "stereo")])
def test_aac_is_copied(tmp_path: Path, rate_hz: int, layout: str) -> None:
    sent = sounds(rate_hz, layout)
    write(tmp_path / "journals", "video", "h264", pictures(0))
    write(tmp_path / "journals", "audio", "aac", sent)
    ((path, _),) = finished(tmp_path, mp4_sound="opus")
    with av.open(str(path)) as file:
        (stream,) = file.streams.audio
        assert (stream.codec_context.sample_rate, stream.codec_context.layout.name) == (rate_hz, layout)
        copied = [bytes(packet) for packet in file.demux(stream) if packet.size]
    assert copied == [frame.data[7:] for frame in sent]
    shown = [pts for pts, _ in times(path, "audio")]
    steps = [later - at for at, later in pairwise(shown)]
    assert max(abs(step - 1024_000 / rate_hz) for step in steps) < 0.1, "milliseconds leave no holes"


def test_what_was_lost_leaves_a_hole(tmp_path: Path) -> None:
    kept = [frame for frame in sounds(48_000, "stereo") if not 1400 <= frame.at_ms < 1800]
    write(tmp_path / "journals", "video", "h264", pictures(0))
    write(tmp_path / "journals", "audio", "aac", kept)
    ((_, seen),) = finished(tmp_path)
    for mark, beep in zip(MARKS_MS, seen.beeps_ms, strict=True):
        assert beep == pytest.approx(mark + LATE_MS, abs=HEARD_MS)


def test_sound_that_changes_is_encoded_again_without_a_gap(tmp_path: Path) -> None:
    first = [frame for frame in sounds(48_000, "stereo") if frame.at_ms < 1500]
    then = [frame for frame in sounds(44_100, "mono") if frame.at_ms >= 1500]
    write(tmp_path / "journals", "video", "h264", pictures(0))
    write(tmp_path / "journals", "audio", "aac", first, 0)
    write(tmp_path / "journals", "audio", "aac", then, 1)
    ((path, seen),) = finished(tmp_path)
    with av.open(str(path)) as file:
        assert (file.streams.audio[0].codec_context.sample_rate, len(file.streams.audio)) == (48_000, 1)
    for mark, beep in zip(MARKS_MS, seen.beeps_ms, strict=True):
        assert beep == pytest.approx(mark + LATE_MS, abs=HEARD_MS)


@pytest.mark.parametrize("sound_alone", ["webm", "m4a"])
def test_sound_alone_becomes_m4a_since_webm_has_no_aac(tmp_path: Path, sound_alone: str) -> None:
    write(tmp_path / "journals", "audio", "aac", sounds(48_000, "stereo"))
    ((path, seen),) = finished(tmp_path, sound_alone=sound_alone)
    assert path.suffix == ".m4a"
    assert len(seen.beeps_ms) == len(MARKS_MS)


@pytest.mark.parametrize("lead_ms", [1, 3000, 2**31])
def test_absurd_decoding_times_move_no_picture(tmp_path: Path, lead_ms: int) -> None:
    frames = [Sent(one.at_ms, lead_ms * (n % 7 == 3), one.is_key, one.data) for n, one in enumerate(pictures(0))]
    write(tmp_path / "journals", "video", "h264", frames)
    ((path, seen),) = finished(tmp_path)
    decoded = [dts for _, dts in times(path)]
    assert decoded == sorted(set(decoded))
    assert seen.flashes_ms == pytest.approx([mark + LATE_MS for mark in MARKS_MS], abs=PICTURE_MS)


def test_damaged_sound_costs_only_itself(tmp_path: Path) -> None:
    nonsense = AacFormat(2, 48_000, 2).frame(bytes(range(255, 155, -1)))
    frames = list(sounds(48_000, "stereo"))
    frames[60] = Sent(frames[60].at_ms, 0, True, nonsense)
    frames[90] = Sent(frames[90].at_ms, 0, True, b"\xff\xf1no frame")
    write(tmp_path / "journals", "video", "h264", pictures(0))
    write(tmp_path / "journals", "audio", "aac", frames)
    configure(tmp_path)
    (entry,) = finish_here(RoomFolder(tmp_path))["files"]
    path = tmp_path / "recordings" / entry["name"]
    assert len(times(path, "audio")) == len(frames) - 1
    assert len(times(path)) == SECONDS * FPS
