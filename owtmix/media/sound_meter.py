"""Measures the sound of a recording from its packets, decoding only what they do not tell."""

from __future__ import annotations

from array import array
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from owtmix.base.shortage import raise_if_short
from owtmix.media.audio_drift import measure_runs
from owtmix.media.block_scan import Blocks
from owtmix.media.clock_track import TrackLog
from owtmix.media.counted_packets import (
    FIRST_FRAMES,
    is_opus,
    is_presented,
    is_trimmed,
    opus_samples,
    opus_samples_by_heads,
    samples_of,
    tells_samples,
)
from owtmix.media.open import states_durations
from owtmix.media.track_meter import PacketTable, Ticks
from owtmix.plan.media_info import AudioTrack, Damage
from owtmix.plan.model import SAMPLE_RATE_HZ

LONGEST_FRAME_S: Final = Fraction(3, 10)
"""The longest audio frame of any codec: 2,048 samples at 8 kHz."""


class SoundMeter:
    """Measures an audio track; decodes only what the measurement needs, or all with ``wholly``.

    Frames must be decoded where packets do not tell their samples: that applies edit lists, priming and pre-skip, and
    drops damaged packets as ``AudioReader`` does.
    """

    def __init__(self, stream: AudioStream, *, wholly: bool) -> None:
        assert stream.time_base is not None
        self.stream = stream
        # As of the start of the file: the decoder's values follow changes inside it.
        self._rate_hz, self._channels = stream.codec_context.sample_rate, stream.codec_context.channels
        self.table = PacketTable(stream.time_base, "sound")
        self._samples = array("q")
        self._all_samples = 0
        self._number = -1
        self.latest: Packet[Stream] | None = None
        """The last packet that was added."""
        self._stated_end = 0
        self._damage = Damage()
        self._wholly = wholly
        self._is_opus = is_opus(stream)
        self.is_counted: Final = tells_samples(stream)
        self._decoded_frames = 0
        self._packet_samples = 0

    @property
    def media_s(self) -> float:
        """How much sound was found so far, packet by packet."""
        return self._all_samples / self._rate_hz

    @property
    def needs_all(self) -> bool:
        return not self.is_counted or self._is_opus

    @property
    def needs_decoding(self) -> bool:
        """Whether only decoding tells how long a packet lasts."""
        return not self._is_opus

    @property
    def settled(self) -> bool:
        return self.is_counted and self._decoded_frames >= FIRST_FRAMES

    def add(self, packet: Packet[Stream]) -> None:
        """Add the next packet of the track."""
        if packet.size:
            self._number += 1
            self.latest = packet
        if packet.pts is not None and packet.duration:
            self._stated_end = max(self._stated_end, packet.pts + packet.duration)
        if not self.settled or (packet.size and is_trimmed(packet)):
            for frame in self._decode(packet):
                samples = samples_of(frame, self._rate_hz)
                self._decoded_frames += 1
                self._packet_samples = max(self._packet_samples, samples)
                if samples:
                    self._place(packet, self._expected_pts() if frame.pts is None else frame.pts, samples)
            return
        if is_presented(packet):
            assert packet.pts is not None
            samples = opus_samples(packet) if self._is_opus else self._packet_samples
            if samples:
                self._place(packet, packet.pts, samples)
        if self._wholly:
            self._decode(packet)

    def extend(self, pts: Ticks, blocks: Blocks) -> None:
        """Add ``blocks`` of Opus, the rest of the track, with their timestamps in ticks."""
        samples = opus_samples_by_heads(blocks.heads, blocks.sizes) - _padding_samples(blocks)
        used = samples > 0
        numbers = self.packets + np.arange(len(pts))
        self.table.extend(numbers[used], pts[used], blocks.positions[used], blocks.sizes[used])
        self._samples.frombytes(samples[used].astype(np.int64).tobytes())

    @property
    def packets(self) -> int:
        """How many packets were added one by one."""
        return self._number + 1

    def log(self) -> TrackLog:
        """The packets, of which there must be some, for the file's clock."""
        return self.table.log(np.asarray(self._samples) / self._rate_hz)

    @property
    def start_s(self) -> Fraction:
        """File time of the first sample, of which there must be one."""
        return int(self.table.ticks[0]) * self.table.time_base

    def track(self) -> tuple[AudioTrack, Damage] | None:
        """The track and its damage; None if nothing can be decoded.

        Raises:
            InputError: it has more than ``audio_drift.MAX_RUNS`` runs.
        """
        table, kept = self.table, self.table.kept
        samples = np.asarray(self._samples)[kept]
        runs = measure_runs(table.ticks[kept], samples, table.time_base, self._rate_hz, table.starts)
        if not runs:
            return None
        stated_end_s = self._stated_end * table.time_base
        surplus_s = runs[-1].span.end - stated_end_s
        if states_durations(self.stream) and not table.sections() and surplus_s < LONGEST_FRAME_S:
            # The last frame has the codec's full length; the container states how much of it is presented.
            runs = (*runs[:-1], runs[-1].ended(stated_end_s, self._rate_hz))
        track = AudioTrack(
            index=self.stream.index,
            codec=self.stream.codec_context.codec.canonical_name,
            rate_hz=self._rate_hz,
            channels=self._channels,
            runs=runs,
            is_counted=self.settled,
            packet_samples=self._packet_samples if self.settled and not self._is_opus else 0,
            sections=table.sections(),
        )
        return track, self._damage

    def _place(self, packet: Packet[Stream], pts: int, samples: int) -> None:
        self.table.add(self._number, pts, -1 if packet.pos is None else packet.pos, packet.size)
        self._samples.append(samples)
        self._all_samples += samples

    def _expected_pts(self) -> int:
        """The end of the previous frame, for a frame without a timestamp."""
        if not len(self.table):
            return 0
        return int(self.table.last_pts + round(Fraction(self._samples[-1], self._rate_hz) / self.table.time_base))

    def _decode(self, packet: Packet[Stream]) -> list[av.AudioFrame]:
        try:
            return packet.decode()  # type: ignore[return-value]  # the stream is audio
        except av.error.FFmpegError as error:
            raise_if_short(error)
            self._damage = self._damage.grown(None if packet.pts is None else packet.pts * packet.time_base)
            return []


def _padding_samples(blocks: Blocks) -> Ticks:
    """What the container cuts from the end of each block, in samples at 48 kHz."""
    return np.asarray(np.rint(blocks.padding_ns * (SAMPLE_RATE_HZ / 1e9)), np.int64)
