"""Decoded sound at its place: 48 kHz, stereo, 32-bit float (semantics.md, "Sound")."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from owtmix.base.errors import InputError
from owtmix.media.audio_drift import measure_runs
from owtmix.media.audio_resample import CopyPlacer, DriftPlacer, PlacedSamples, Samples, keeps_time
from owtmix.media.fixed_packets import FixedPacketFrames, samples_of
from owtmix.media.open import check_unchanged, ffmpeg_reason, file_version, open_input, packets, select_stream
from owtmix.plan.media_info import AudioRun, AudioTrack, Damage
from owtmix.plan.model import SAMPLE_RATE_HZ

CHANNELS: Final = 2

LOUDEST: Final = np.float32(4)
"""Four times full scale: more than any lossy codec overshoots."""


class AudioMeter:
    """Collects when a track's decoded frames are presented, for ``AudioTrack.runs``.

    Decoding is the way to know: it applies edit lists, priming and pre-skip, and leaves damaged packets out exactly as
    ``AudioReader`` will find them. Where packets hold equally many samples, a few decoded ones tell the rest.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._pts = array("q")
        self._samples = array("q")
        self._time_base = Fraction(1, rate_hz)

    def add(self, frame: AudioFrame) -> None:
        """Take note of the next frame of the track, in the order of decoding."""
        samples = samples_of(frame, self._rate_hz)
        if not samples:
            return
        self.place(self._expected_pts() if frame.pts is None else frame.pts, samples, frame.time_base)

    def place(self, pts: int, samples: int, time_base: Fraction | None) -> None:
        """Take note of what comes next: ``samples`` of it, at the track's rate, are presented from ``pts`` on."""
        self._time_base = time_base or self._time_base
        self._pts.append(pts)
        self._samples.append(samples)

    def runs(self) -> tuple[AudioRun, ...]:
        """The runs of all frames so far; none without frames."""
        pts, samples = np.array(self._pts, np.int64), np.array(self._samples, np.int64)
        return measure_runs(pts, samples, self._time_base, self._rate_hz)

    def _expected_pts(self) -> int:
        """Where a frame without a stamp follows on."""
        if not self._pts:
            return 0
        return self._pts[-1] + round(Fraction(self._samples[-1], self._rate_hz) / self._time_base)


class AudioReader:
    """One audio track, read forwards at output sample positions.

    Samples are counted through the track's runs, which were measured on the same frames; a run whose clock keeps time
    is copied, one that drifts is interpolated. At most a few decoded frames are held.
    """

    def __init__(self, path: Path, track: AudioTrack, offset_s: Fraction) -> None:
        """Open ``path``; file time plus ``offset_s`` is output time.

        Raises:
            InputError: the file cannot be opened or has no such track.
        """
        self.damage = Damage()
        """What could not be decoded so far."""
        self._track = track
        self._offset_s = offset_s
        self._path = path
        self._container = open_input(path)
        self._version = file_version(path)
        self._stream = select_stream(self._container, track.index)
        self._pieces = self._place()
        self._piece: PlacedSamples | None = None

    def read(self, first_sample: int, count: int) -> Samples:
        """The ``count`` output samples from ``first_sample`` on; each call starts where the last one ended, or later.

        Returns:
            Shape (2, count), float32; silence where the track has none.

        Raises:
            InputError: the file could not be read on.
        """
        block = np.zeros((CHANNELS, count), np.float32)
        end = first_sample + count
        try:
            while (piece := self._piece or next(self._pieces, None)) is not None:
                start, sound = self._piece = piece
                if start >= end:
                    break
                skipped = max(0, first_sample - start)
                part = sound[:, skipped : end - start]
                block[:, start + skipped - first_sample :][:, : part.shape[1]] = part
                if start + sound.shape[1] > end:
                    break
                self._piece = None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"cannot be read on: {ffmpeg_reason(error)}") from None
        # Damaged float sound can decode to anything; one NaN, or one huge sample, would silence the whole mix.
        np.nan_to_num(block, copy=False, nan=0, posinf=0, neginf=0)
        return np.clip(block, -LOUDEST, LOUDEST, out=block)

    def close(self) -> None:
        self._pieces.close()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode(self) -> Iterator[AudioFrame]:
        track = self._track
        evener = FixedPacketFrames(track.packet_samples, track.rate_hz) if track.packet_samples else None
        for packet in packets(self._container, self._stream):
            frames: Sequence[AudioFrame] = ()
            try:
                frames, good = packet.decode(), True  # type: ignore[assignment]  # the stream is audio
            except av.error.FFmpegError:
                good = False
            if evener:
                frames, whole = evener.even(packet, frames)
                good = good and whole
            if not good:
                self.damage = self.damage.grown(None if packet.pts is None else packet.pts * packet.time_base)
            yield from frames
        check_unchanged(self._path, self._version)

    def _place(self) -> Generator[PlacedSamples, None, None]:
        """All sound of the track, in order. Each run takes its number of samples from the decoded frames."""
        runs = iter(self._track.runs)
        run = next(runs)
        stretch: _Stretch | None = None
        position = 0
        for frame in self._decode():
            ended = position >= run.knots[-1][0]
            if stretch and (ended or not stretch.continues(frame)):
                yield from stretch.finish()
                stretch = None
            if ended:
                following = next(runs, None)
                if following is None:
                    return
                run, position = following, 0
            if stretch is None:
                stretch = _Stretch(frame, run, position, self._track.rate_hz, self._offset_s)
            yield from stretch.push(frame)
            position += samples_of(frame, self._track.rate_hz)
        if stretch:
            yield from stretch.finish()


class _Stretch:
    """Frames of one run and one format, converted to 48 kHz and laid at output samples."""

    def __init__(self, frame: AudioFrame, run: AudioRun, first: int, rate_hz: int, offset_s: Fraction) -> None:
        self._format = _format(frame)
        # Mono stays mono until it is read: libswresample would spread it over two channels at less than unity gain.
        layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
        self._resampler = AudioResampler(format="fltp", layout=layout, rate=SAMPLE_RATE_HZ)
        lay = CopyPlacer if keeps_time(run, rate_hz) else DriftPlacer
        self._layer = lay(run, first, rate_hz, offset_s)

    def continues(self, frame: AudioFrame) -> bool:
        return _format(frame) == self._format

    def push(self, frame: AudioFrame) -> Iterator[PlacedSamples]:
        yield from self._lay(self._resampler.resample(frame))

    def finish(self) -> Iterator[PlacedSamples]:
        yield from self._lay(self._resampler.resample(None))
        yield from self._layer.finish()

    def _lay(self, converted: list[AudioFrame]) -> Iterator[PlacedSamples]:
        for frame in converted:
            yield from self._layer.push(frame.to_ndarray().astype(np.float32, copy=False))


def _format(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
