"""Decodes a sound, and says at which sample of which of its runs each frame begins."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import av
from av.audio.frame import AudioFrame

from owtmix.base.shortage import raise_if_short
from owtmix.media.clocked_packets import clocked
from owtmix.media.counted_packets import CountedFrames, samples_of
from owtmix.media.open import open_input, packets, select_stream
from owtmix.plan.media_info import AudioRun, AudioTrack, Damage

Placed = tuple[AudioRun, int, AudioFrame]
"""A run, the number of the frame's first sample in it, at the track's own rate, and the frame."""


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
        self._container = open_input(path, end_bytes=end_bytes)
        self._stream = select_stream(self._container, track.index)

    def close(self) -> None:
        self._container.close()

    def placed(self) -> Generator[Placed, None, None]:
        """Decode all frames in order; those behind the last run are left out.

        Raises:
            av.error.FFmpegError, OSError, ValueError: reading the file failed.
        """
        runs = iter(self._track.runs)
        run: AudioRun | None = next(runs)
        position = 0
        for frame in self._decoded():
            if run and position >= run.knots[-1][0]:
                run, position = next(runs, None), 0
            if run is None:
                return
            yield run, position, frame
            position += samples_of(frame, self._track.rate_hz)

    def _decoded(self) -> Iterator[AudioFrame]:
        track = self._track
        counted = CountedFrames(track.packet_samples, track.rate_hz) if track.is_counted else None
        for packet, is_used in clocked(packets(self._container, self._stream), track.sections):
            frames: Sequence[AudioFrame] = ()
            try:
                frames, good = packet.decode(), True  # type: ignore[assignment]  # the stream is audio
            except av.error.FFmpegError as error:
                raise_if_short(error)
                good = False
            if counted:
                frames, intact = counted.conform(packet, frames)
                good = good and intact
            if not good:
                self.damage = self.damage.grown(None if packet.pts is None else packet.pts * packet.time_base)
            if is_used:
                yield from frames
