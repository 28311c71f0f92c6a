"""The picture of a session that is still received: decoded from its journal, by the times of the file it becomes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from owtmix.base.geometry import Orientation, Size
from owtmix.base.shortage import raise_if_short
from owtmix.media.open import limit_decoder
from owtmix.media.video_frame import BLACK_DELAY_S, DecodedFrame, describe_frame
from owtmix.media.video_reader import SEEK_S
from owtmix.plan.media_info import Damage, DecodeStats
from owtmix.recorder.file_plan import FilePlan, Track
from owtmix.recorder.journal import Frame
from owtmix.recorder.journal_scan import checked
from owtmix.recorder.key_frame import open_journal, open_key_frame
from owtmix.recorder.picture_times import PICTURE_HZ, PictureTimes
from owtmix.render.callbacks import Heartbeat

_AHEAD_S: Final = 2
"""Frames that are read before they are needed."""

Stamped = tuple[Fraction, Frame, int, int]
"""When a frame is shown, in file time, the frame, and its timestamps in ticks."""


class JournalPicture:
    """Gives the newest frame at rising file times, as ``media.video_reader`` will of the file.

    Args:
        plan: how the file is made; it has a picture.
        start_us: its beginning, in microseconds since 1970.

    Raises:
        InputError: the journal cannot be read.
    """

    def __init__(self, plan: FilePlan, start_us: int) -> None:
        assert plan.picture
        self._plan = plan
        self._track: Track = plan.picture
        self._hz = PICTURE_HZ[plan.container]
        self._timer = self._track.clock.anew()
        self._times = PictureTimes(plan.container, start_us, self._timer.rate)
        self._reader = open_journal(self._track)
        self._head: InputContainer | None = None
        self._waiting: deque[Stamped] = deque()
        self._ready: deque[tuple[Fraction, DecodedFrame]] = deque()
        self._current: tuple[Fraction, DecodedFrame] | None = None
        self._latest: Fraction | None = None
        self._decoded_s = Fraction(-1_000_000)
        self._black_since: Fraction | None = None
        self._has_begun = False
        self._sizes: dict[Size, None] = {}
        self._damaged = 0

    def learn(self, plan: FilePlan) -> None:
        """Take what is known of its clock since."""
        assert plan.picture
        self._plan, self._timer.knots = plan, plan.picture.clock.knots

    def frame_at(self, t: Fraction, heartbeat: Heartbeat) -> DecodedFrame | None:
        """As ``VideoSource.frame_at``."""
        self._read(t, heartbeat)
        while True:
            if not self._ready and not self._decode(heartbeat):
                break
            if self._ready and self._ready[0][0] > t:
                break
            if self._ready:
                self._current = self._ready.popleft()
        return self._current[1] if self._current else None

    @property
    def stats(self) -> DecodeStats:
        """The sizes and the damage so far."""
        return DecodeStats(tuple(self._sizes), Damage(self._damaged), ("cpu",))

    def close(self) -> None:
        """Free the decoder, and close the journal."""
        self._ready.clear()
        self._current = None
        if self._head:
            self._head.close()
        self._reader.close()

    def _read(self, t: Fraction, heartbeat: Heartbeat) -> None:
        """Read what was written, until some time after ``t``; what no frame at ``t`` needs is passed over."""
        if self._waiting and self._waiting[-1][0] > t + _AHEAD_S:
            return
        for record in self._reader.records():
            if not isinstance(record, Frame) or (frame := checked(self._track.codec, record)) is None:
                continue
            if not self._begins_with(frame):
                continue
            at_us = self._timer.time_us(frame)
            is_early = self._plan.from_us is not None and at_us < self._plan.from_us
            if is_early or (self._plan.until_us is not None and at_us >= self._plan.until_us):
                continue
            if (stamps := self._times.place(at_us, frame.lead)) is None:
                self._damaged += 1
                continue
            shown_s = Fraction(stamps[0], self._hz)
            if frame.is_key and self._decoded_s + SEEK_S < shown_s <= t - BLACK_DELAY_S:
                self._start_at(shown_s)
            self._waiting.append((shown_s, frame, *stamps))
            heartbeat()
            if shown_s > t + _AHEAD_S:
                break

    def _begins_with(self, frame: Frame) -> bool:
        """Whether a frame can be used: the first one is a key frame that tells the size of the picture."""
        if self._head is None and frame.is_key:
            self._head = open_key_frame(self._track.codec, frame.data)
            if self._head:
                limit_decoder(self._head.streams.video[0].codec_context)
        return self._head is not None

    def _start_at(self, shown_s: Fraction) -> None:
        """Decode nothing before the key frame that comes now."""
        self._waiting.clear()
        self._ready.clear()
        if self._has_begun:
            self._stream.codec_context.flush_buffers()
        self._decoded_s = shown_s
        self._black_since = None
        self._latest = None
        self._has_begun = True

    def _decode(self, heartbeat: Heartbeat) -> bool:
        """Decode the next frame that waits; False when none does."""
        if not self._waiting:
            return False
        shown_s, frame, pts, dts = self._waiting.popleft()
        self._decoded_s = max(self._decoded_s, shown_s)
        packet: Packet[Stream] = Packet(frame.data)
        packet.pts, packet.dts, packet.time_base = pts, dts, Fraction(1, self._hz)
        packet.is_keyframe = frame.is_key
        heartbeat()
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            raise_if_short(error)
            self._damaged += 1
            return True
        self._ready.extend(self._described(frames))
        return True

    @property
    def _stream(self) -> VideoStream:
        assert self._head
        return self._head.streams.video[0]

    def _described(self, frames: list[VideoFrame]) -> Iterator[tuple[Fraction, DecodedFrame]]:
        """Undamaged frames, as ``VideoReader`` describes them; a first one that is black has been so for long."""
        for frame in frames:
            if frame.is_corrupt or frame.pts is None:
                self._damaged += 1
                continue
            shown_s = Fraction(frame.pts, self._hz)
            is_first = self._latest is None and not self._has_begun
            self._has_begun = True
            self._latest = shown_s if self._latest is None else max(shown_s, self._latest)
            found = describe_frame(frame, self._stream, Orientation.UPRIGHT)
            self._sizes[found.displayed] = None
            if not found.is_blank():
                self._black_since = None
            elif self._black_since is None:
                self._black_since = self._latest - (BLACK_DELAY_S if is_first else 0)
            yield self._latest, replace(found, black_since=self._black_since)
