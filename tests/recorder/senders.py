"""Participants made in code: they flash and beep at known times, and their journals are as a receiver writes them.

A sender's truth is when it captured each frame, by the server's clock. What a journal has of that is RTP times that
begin anywhere and may drift, reports by a clock that is wrong, and arrivals that are late and jitter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from owtmix.base.ids import StreamId
from owtmix.demo.speech import spoken
from owtmix.recorder.journal import Codec, Frame, JournalHead, JournalWriter, Report
from tests.support.people import COLOURS, Colour, tone

START_US: Final = 1_795_327_385_123_000
FLASH_MS: Final = 200
BEEP_MS: Final = 100
BEEP_DB: Final = -15.0
WORDS_HZ: Final = 150
LOOKAHEAD: Final = 312
SAMPLES: Final = 960
WHITE: Final = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Sender:
    """A participant.

    Attributes:
        stream: Whose stream it is.
        start_ms: When it captured its first frame, after ``START_US``.
        length_ms: For how long it sends.
        marks_ms: When it flashes and beeps, after ``START_US``.
        codec: Of its picture; None without one.
        words_ms: When it speaks, after ``START_US``.
        muted_ms: When it sends no sound, after ``START_US``.
        hidden_ms: The same for its picture.
        ntp_off_us: How far its clock is ahead of the server's.
        drift: Of its clock: 1e-4 is 100 ppm fast.
        sound_drift: Of its sound card against its clock.
        reports_ms: How often it reports; 0 never.
        delay_us: From capture, of sound that of its last sample, to arrival, at least; jitter comes on top.
        sizes: Of its pictures, each from so many milliseconds after its start on.
    """

    stream: str
    start_ms: int = 0
    length_ms: int = 4000
    marks_ms: tuple[int, ...] = ()
    codec: Codec | None = "vp8"
    sound: bool = True
    fps: int = 20
    colour: Colour = COLOURS[0]
    tone_hz: int = 700
    words_ms: tuple[tuple[int, int], ...] = ()
    muted_ms: tuple[tuple[int, int], ...] = ()
    hidden_ms: tuple[tuple[int, int], ...] = ()
    ntp_off_us: int = 0
    drift: float = 0.0
    sound_drift: float = 0.0
    reports_ms: int = 500
    delay_us: int = 15_000
    jitter_us: int = 8_000
    sizes: tuple[tuple[int, tuple[int, int]], ...] = ((0, (160, 96)),)
    gop: int = 20
    seed: int = 1
    lost: frozenset[int] = field(default_factory=frozenset)

    @property
    def picture_times_us(self) -> list[int]:
        """When each picture was captured."""
        count = self.length_ms * self.fps // 1000
        return [START_US + self.start_ms * 1000 + n * 1_000_000 // self.fps for n in range(count)]

    @property
    def sound_times_us(self) -> list[int]:
        """When the first sample of each packet was captured."""
        return [START_US + self.start_ms * 1000 + n * 20_000 for n in range(self.length_ms // 20)]

    def is_white(self, at_us: int) -> bool:
        return any(mark <= (at_us - START_US) / 1000 < mark + FLASH_MS for mark in self.marks_ms)

    def sender_us(self, at_us: int) -> int:
        """What the sender's clock says at a time of the server's."""
        return at_us + self.ntp_off_us + round((at_us - START_US) * self.drift)


def write_journals(sender: Sender, folder: Path, session: str, *, ended: bool = True) -> list[Path]:
    """Write the journals of a sender's session into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(sender.seed)
    written = []
    if sender.codec:
        frames = [
            (at_us, data, is_key)
            for at_us, (data, is_key) in zip(sender.picture_times_us, pictures(sender), strict=True)
            if not _in(at_us, sender.hidden_ms)
        ]
        head = JournalHead(session, StreamId.parse(sender.stream), "video", sender.codec, 90_000)
        written.append(_write(sender, folder, head, frames, chance, 0.0, ended=ended))
    if sender.sound:
        packets = [
            (at_us, data, True)
            for number, (at_us, data) in enumerate(zip(sender.sound_times_us, sounds(sender), strict=True))
            if not _in(at_us, sender.muted_ms) and number not in sender.lost
        ]
        head = JournalHead(session, StreamId.parse(sender.stream), "audio", "opus", 48_000)
        written.append(_write(sender, folder, head, packets, chance, sender.sound_drift, ended=ended))
    return written


def _write(
    sender: Sender,
    folder: Path,
    head: JournalHead,
    frames: Sequence[tuple[int, bytes, bool]],
    chance: random.Random,
    drift: float,
    *,
    ended: bool,
) -> Path:
    path = folder / f"{head.session}.{head.kind}.0.journal"
    writer = JournalWriter(path, head)
    rtp_from = chance.randrange(1 << 31)

    def rtp(at_us: float) -> int:
        passed_us = sender.sender_us(round(at_us)) - sender.sender_us(START_US)
        return rtp_from + round(passed_us * (1 + drift) * head.rate / 1e6)

    records: list[Frame | Report] = []
    lasts_us = 20_000 if head.kind == "audio" else 0
    for at_us, data, is_key in frames:
        arrived_us = at_us + lasts_us + sender.delay_us + round(chance.expovariate(1 / max(1, sender.jitter_us)))
        records.append(Frame(rtp(at_us), arrived_us, is_key, data))
    begin_us, end_us = START_US + sender.start_ms * 1000, START_US + (sender.start_ms + sender.length_ms) * 1000
    for at_us in range(begin_us, end_us, sender.reports_ms * 1000 or 1 << 60) if sender.reports_ms else ():
        arrived_us = at_us + sender.delay_us + round(chance.expovariate(1 / max(1, sender.jitter_us)))
        records.append(Report(rtp(at_us), arrived_us, sender.sender_us(at_us)))
    for record in sorted(records, key=lambda record: (record.rtp, isinstance(record, Report))):
        if isinstance(record, Frame):
            writer.frame(record)
        else:
            writer.report(record)
    if ended:
        writer.end()
    return path


def _in(at_us: int, ranges_ms: Sequence[tuple[int, int]]) -> bool:
    return any(start <= (at_us - START_US) / 1000 < end for start, end in ranges_ms)


@cache
def pictures(sender: Sender) -> tuple[tuple[bytes, bool], ...]:
    """The encoded pictures of a sender, and whether each is a key frame."""
    times = sender.picture_times_us
    bounds = [START_US + (sender.start_ms + from_ms) * 1000 for from_ms, _ in sender.sizes]
    parts = [
        [at for at in times if bound <= at and (not after or at < after[0])]
        for bound, after in ((bound, bounds[n + 1 : n + 2]) for n, bound in enumerate(bounds))
    ]
    made: list[tuple[bytes, bool]] = []
    for (_, size), part in zip(sender.sizes, parts, strict=True):
        made += _encoded(sender, size, part)
    return tuple(made)


def _encoded(sender: Sender, size: tuple[int, int], times: Sequence[int]) -> Iterator[tuple[bytes, bool]]:
    context: Any = av.CodecContext.create("libx264" if sender.codec == "h264" else "libvpx", "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 1000), sender.fps
    context.thread_count, context.gop_size, context.bit_rate = 1, sender.gop, 500_000
    if sender.codec == "h264":
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0"}
    else:
        context.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
    for at_us in times:
        colour = WHITE if sender.is_white(at_us) else sender.colour
        frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), colour, np.uint8)).reformat(format="yuv420p")
        frame.pts, frame.time_base = (at_us - START_US) // 1000, Fraction(1, 1000)
        for packet in context.encode(frame):
            yield bytes(packet), packet.is_keyframe


@cache
def sounds(sender: Sender) -> tuple[bytes, ...]:
    """The packets of Opus of a sender, 20 ms each."""
    times = sender.sound_times_us
    count = len(times) * SAMPLES
    wave = np.zeros(count, np.float32)
    for mark_ms in sender.marks_ms:
        first = (mark_ms - sender.start_ms) * 48
        if first + 48 * BEEP_MS > 0 and first < count:
            length = min(48 * BEEP_MS, count - first)
            wave[first : first + length] += tone(sender.tone_hz, BEEP_DB, np.arange(length) / 48_000)
    for start_ms, end_ms in sender.words_ms:
        words = spoken((end_ms - start_ms) / 1000, WORDS_HZ, BEEP_DB, 48_000)
        first = (start_ms - sender.start_ms) * 48
        wave[first : first + len(words)] += words[: count - first]
    context: Any = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format, context.bit_rate = 48_000, "stereo", "flt", 64_000
    context.options = {"application": "voip", "frame_duration": "20"}
    made: list[bytes] = []
    for number in range(len(times)):
        part = wave[number * SAMPLES : (number + 1) * SAMPLES]
        frame = av.AudioFrame.from_ndarray(np.repeat(part, 2)[None, :], format="flt", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * SAMPLES, Fraction(1, 48_000)
        made += [bytes(packet) for packet in context.encode(frame)]
    return tuple(made)[: len(times)]
