"""Writes the tracks of a recording: copies pictures, and copies sound or encodes it as AAC.

Times are microseconds since 1970; a file counts from its beginning. Timestamps grow, whatever the times do. What FFmpeg
refuses is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final, Protocol

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.base.shortage import raise_if_short
from owtmix.recorder.aac_packet import SAMPLES
from owtmix.recorder.file_plan import Container
from owtmix.recorder.journal import Codec, Frame
from owtmix.recorder.opus_packet import LOOKAHEAD, RATE_HZ, samples_in
from owtmix.recorder.picture_times import PICTURE_HZ, PictureTimes, ticks
from owtmix.recorder.placed_sound import Block, PlacedSound
from owtmix.recorder.sound_decoder import SoundDecoder, late_by

_AAC_BITS_PER_S: Final = 128_000
_US: Final = 1_000_000
_WAIT: Final = RATE_HZ
"""Samples after which silence is written, where no sound comes while pictures do."""


class SoundWriter(Protocol):
    """Writes the packets of a sound, and counts them."""

    end_us: int
    written: int
    damaged: int

    def write(self, at_us: int, data: bytes) -> None:
        """Write a packet that was captured at ``at_us``."""

    def wait(self, until_us: int) -> None:
        """Take note that no packet comes before this time."""

    def close(self) -> None:
        """Write what is left."""


class CopiedPicture:
    """Copies frames like those of ``template``. The last one lasts as long as the one before, a second at most.

    ``rate`` is that of what frames count.
    """

    def __init__(
        self, out: OutputContainer, template: VideoStream, container: Container, start_us: int, rate: int
    ) -> None:
        self.end_us, self.written, self.damaged = start_us, 0, 0
        self._out = out
        self._start_us = start_us
        self._ticks = PICTURE_HZ[container]
        self._stream = out.add_stream_from_template(template, opaque=True)
        self._stream.time_base = Fraction(1, self._ticks)
        self._times = PictureTimes(container, start_us, rate)
        self._held: Packet[Stream] | None = None
        self._lasts = self._ticks // 30
        self._last_pts = 0

    def write(self, at_us: int, frame: Frame) -> None:
        stamps = self._times.place(at_us, frame.lead)
        if stamps is None:
            self.damaged += 1
            return
        packet: Packet[Stream] = Packet(frame.data)
        packet.stream, packet.time_base = self._stream, Fraction(1, self._ticks)
        packet.pts, packet.dts = stamps
        packet.is_keyframe = frame.is_key
        if self._held and self._held.dts is not None:
            self._lasts = packet.dts - self._held.dts
            self._mux(self._held, self._lasts)
        self._held = packet
        self._last_pts = max(self._last_pts, packet.pts)

    def close(self) -> None:
        if self._held:
            lasts = min(self._lasts, self._ticks)
            self._mux(self._held, lasts)
            self.end_us = self._start_us + (self._last_pts + lasts) * _US // self._ticks

    def _mux(self, packet: Packet[Stream], lasts: int) -> None:
        packet.duration = lasts
        is_written = _muxed(self._out, packet)
        self.written += is_written
        self.damaged += not is_written


class _Copied:
    """Copies packets of sound, whose times are in samples. Where there are none, the file has a hole."""

    def __init__(self, out: OutputContainer, start_us: int, stream: Stream, rate_hz: int) -> None:
        self.end_us, self.written, self.damaged = start_us, 0, 0
        self._out = out
        self._start_us = start_us
        self._stream = stream
        self._rate_hz = rate_hz
        self._free: int | None = None
        """The first sample after the last packet."""

    def wait(self, until_us: int) -> None:
        """A hole needs nothing."""

    def close(self) -> None:
        """All was written."""

    def _copy(self, data: bytes, pts: int, lasts: int) -> None:
        packet: Packet[Stream] = Packet(data)
        packet.stream, packet.time_base = self._stream, Fraction(1, self._rate_hz)
        packet.pts = packet.dts = pts
        packet.duration = lasts
        is_written = _muxed(self._out, packet)
        self.written += is_written
        self.damaged += not is_written
        self._free = pts + lasts
        self.end_us = self._start_us + max(0, self._free) * _US // self._rate_hz


class CopiedSound(_Copied):
    """Copies packets of Opus."""

    def __init__(self, out: OutputContainer, start_us: int) -> None:
        # The encoder is never used: it describes the track, with its look-ahead.
        stream = out.add_stream("libopus", rate=RATE_HZ)
        assert isinstance(stream, AudioStream)
        stream.layout = "stereo"
        super().__init__(out, start_us, stream, RATE_HZ)

    def write(self, at_us: int, data: bytes) -> None:
        pts, lasts = ticks(at_us - self._start_us, RATE_HZ) - LOOKAHEAD, samples_in(data)
        if self._free is not None and pts < self._free - lasts // 2:
            self.damaged += 1
        else:
            self._copy(data, pts, lasts)


class CopiedAac(_Copied):
    """Copies frames like those of ``template``, at ``rate_hz``.

    Their times are rounded to milliseconds: frames that nearly follow each other do.
    """

    def __init__(self, out: OutputContainer, template: AudioStream, rate_hz: int, start_us: int) -> None:
        stream = out.add_stream_from_template(template, opaque=True)
        stream.time_base = Fraction(1, rate_hz)
        super().__init__(out, start_us, stream, rate_hz)

    def write(self, at_us: int, data: bytes) -> None:
        pts = ticks(at_us - self._start_us, self._rate_hz)
        if self._free is not None:
            if pts < self._free - SAMPLES // 2:
                self.damaged += 1
                return
            pts = self._free if pts < self._free + SAMPLES // 2 else pts
        self._copy(data, pts, SAMPLES)


class EncodedSound:
    """Decodes packets of ``codec`` and encodes AAC, with silence where there are none.

    ``advance`` gets the seconds that are done: hours of silence take minutes.
    """

    def __init__(self, out: OutputContainer, codec: Codec, start_us: int, advance: Callable[[float], object]) -> None:
        self.end_us, self.written, self.damaged = start_us, 0, 0
        self._out = out
        self._start_us = start_us
        self._stream = out.add_stream("aac", rate=RATE_HZ)
        assert isinstance(self._stream, AudioStream)
        self._stream.codec_context.layout = "stereo"
        self._stream.codec_context.bit_rate = _AAC_BITS_PER_S
        self._stream.codec_context.thread_count = 1
        self._late = late_by(codec)
        self._decoder = SoundDecoder(codec)
        self._placed = PlacedSound()
        self._advance = advance

    def write(self, at_us: int, data: bytes) -> None:
        at = ticks(at_us - self._start_us, RATE_HZ) - self._late
        try:
            blocks = self._decoder.blocks(data)
        except InputError:
            self.damaged += 1
            return
        self.written += 1
        for block in blocks:
            for part in self._placed.add(at, block):
                self._encode(part)
            at += block.shape[1]

    def wait(self, until_us: int) -> None:
        until = ticks(until_us - self._start_us, RATE_HZ) - self._late
        if self._placed.position is not None and until - self._placed.position > _WAIT:
            for part in self._placed.silence_to(until - _WAIT // 2):
                self._encode(part)

    def close(self) -> None:
        for packet in self._stream.encode(None):
            self._out.mux(packet)
        self.end_us = self._start_us + (self._placed.position or 0) * _US // RATE_HZ

    def _encode(self, block: Block) -> None:
        assert self._placed.position is not None
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
        frame.pts = self._placed.position - block.shape[1]
        for packet in self._stream.encode(frame):
            self._out.mux(packet)
        self._advance(self._placed.position / RATE_HZ)


def _muxed(out: OutputContainer, packet: Packet[Stream]) -> bool:
    """Whether FFmpeg took a packet; a damaged one costs only itself."""
    try:
        out.mux(packet)
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise_if_short(error)
        return False
    return True
