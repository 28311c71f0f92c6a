"""Decodes a sound, and says at which sample of which of its runs each frame begins."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Stream

from owtmix.base.shortage import raise_if_short
from owtmix.media.clocked_packets import clocked
from owtmix.media.counted_packets import CountedFrames, is_trimmed, samples_of
from owtmix.media.open import close_input, open_input, packets, select_stream
from owtmix.plan.media_info import AudioRun, AudioTrack, Damage

Placed = tuple[AudioRun, int, AudioFrame]
"""A run, the number of the frame's first sample in it, at the track's own rate, and the frame."""
Wants = Callable[[AudioRun, int, int], bool]
"""Whether a packet is decoded: its run, its position there, and how many samples it holds."""


class TrackFrames:
    """The frames of one audio track, from its beginning; each run takes its number of samples from them."""

    def __init__(self, path: Path, track: AudioTrack, end_bytes: int | None = None) -> None:
        """Open ``path``, whose packets end at ``end_bytes``.

        Raises:
            InputError: the file cannot be opened, or has no such track.
        """
        self.damage = Damage()
        """The damage found so far."""
        self._track = track
        self._counted = CountedFrames(track.packet_samples, track.rate_hz) if track.is_counted else None
        self._runs = iter(track.runs)
        self._run: AudioRun | None = next(self._runs)
        self._position = 0
        self._container = open_input(path, end_bytes=end_bytes)
        self._stream = select_stream(self._container, track.index)

    def close(self) -> None:
        close_input(self._container)

    def placed(self, wants: Wants = lambda _run, _position, _samples: True) -> Generator[Placed, None, None]:
        """Decode frames in order; those behind the last run are left out.

        Packets that tell how many samples they hold are left out if ``wants`` says so.

        Raises:
            av.error.FFmpegError, OSError, ValueError: reading the file failed.
        """
        for packet, is_used in clocked(packets(self._container, self._stream), self._track.sections):
            told = self._counted.told(packet) if is_used and self._counted else 0
            if told and self._run and not wants(self._run, self._position, told) and not is_trimmed(packet):
                self._pass(told)
                continue
            frames = self._decoded(packet)
            for frame in frames if is_used else ():
                if self._run is None:
                    return
                yield self._run, self._position, frame
                self._pass(samples_of(frame, self._track.rate_hz))

    def _pass(self, samples: int) -> None:
        self._position += samples
        if self._run and self._position >= self._run.knots[-1][0]:
            self._run, self._position = next(self._runs, None), 0

    def _decoded(self, packet: Packet[Stream]) -> Sequence[AudioFrame]:
        frames: Sequence[AudioFrame] = ()
        try:
            frames, good = packet.decode(), True  # type: ignore[assignment]  # the stream is audio
        except av.error.FFmpegError as error:
            raise_if_short(error)
            good = False
        if self._counted:
            frames, intact = self._counted.conform(packet, frames)
            good = good and intact
        if not good:
            self.damage = self.damage.grown(None if packet.pts is None else packet.pts * packet.time_base)
        return frames
