"""Decodes sound to 48 kHz, stereo, 32-bit float, at output sample positions (docs/semantics.md, "Sound")."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.base.shortage import raise_if_short
from owtmix.media.audio_resample import CopyPlacer, DriftPlacer, PlacedSamples, Samples, keeps_time
from owtmix.media.open import ffmpeg_reason
from owtmix.media.track_frames import TrackFrames
from owtmix.plan.media_info import AudioRun, AudioTrack, Damage
from owtmix.plan.model import SAMPLE_RATE_HZ

CHANNELS: Final = 2

FADE_SAMPLES: Final = SAMPLE_RATE_HZ * 5 // 1000
"""Where sound is cut off in the middle it fades over this long, 5 ms, to avoid a click."""

MAX_LEVEL: Final = np.float32(4)
"""Samples are clipped to this: four times full scale, more than any lossy codec overshoots."""


class AudioReader:
    """Reads one audio track forwards, at output sample positions.

    Decoded samples are assigned to the track's runs by counting. A run without drift is copied, one with drift is
    interpolated. Holds a few decoded frames at most.
    """

    def __init__(self, path: Path, track: AudioTrack, offset_s: Fraction, end_bytes: int | None = None) -> None:
        """Open ``path``, whose packets end at ``end_bytes``; file time plus ``offset_s`` (s) is output time.

        Raises:
            InputError: the file cannot be opened, or has no such track.
        """
        self._track = track
        self._offset_s = offset_s
        self._frames = TrackFrames(path, track, end_bytes)
        self._placed = self._place()
        self._current: PlacedSamples | None = None

    @property
    def damage(self) -> Damage:
        """The damage found so far."""
        return self._frames.damage

    def read(self, first_sample: int, count: int) -> Samples:
        """Read ``count`` output samples from ``first_sample`` on; each call starts where the last one ended, or later.

        Returns:
            float32 (2, count), full scale 1.0, clipped to ``MAX_LEVEL``; silence where the track has no sound.

        Raises:
            InputError: reading the file failed.
        """
        block = np.zeros((CHANNELS, count), np.float32)
        end = first_sample + count
        try:
            while (placed := self._current or next(self._placed, None)) is not None:
                start, sound = self._current = placed
                if start >= end:
                    break
                skipped = max(0, first_sample - start)
                part = sound[:, skipped : end - start]
                block[:, start + skipped - first_sample :][:, : part.shape[1]] = part
                if start + sound.shape[1] > end:
                    break
                self._current = None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise_if_short(error)
            raise InputError(f"cannot be read on: {ffmpeg_reason(error)}") from None
        # Damaged float sound can decode to anything; one NaN or huge sample would silence the whole mix.
        np.nan_to_num(block, copy=False, nan=0, posinf=0, neginf=0)
        return np.clip(block, -MAX_LEVEL, MAX_LEVEL, out=block)

    def close(self) -> None:
        self._placed.close()
        self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place(self) -> Generator[PlacedSamples, None, None]:
        """All sound of the track, in order. Each run takes its number of samples from the decoded frames."""
        fades = _Fades(self._track.runs, self._offset_s)
        segment: _Segment | None = None
        current: AudioRun | None = None
        for run, position, frame in self._frames.placed():
            if segment and (run is not current or not segment.continues(frame)):
                yield from fades.applied(segment.finish())
                segment = None
            if current and run is not current:
                fades.enter_next_run()
            current = run
            if segment is None:
                segment = _Segment(frame, run, position, self._track.rate_hz, self._offset_s)
            yield from fades.applied(segment.push(frame))
        if segment:
            yield from fades.applied(segment.finish())


class _Fades:
    """Softens where a run ends at a hole and where the next one begins, over ``FADE_SAMPLES``."""

    def __init__(self, runs: Sequence[AudioRun], offset_s: Fraction) -> None:
        spans = (run.span.shifted(offset_s) for run in runs)
        self._bounds = [(round(span.start * SAMPLE_RATE_HZ), round(span.end * SAMPLE_RATE_HZ)) for span in spans]
        self._number = 0

    def enter_next_run(self) -> None:
        self._number += 1

    def applied(self, placed: Iterator[PlacedSamples]) -> Iterator[PlacedSamples]:
        """The sound of the current run, with its fades."""
        start, end = self._bounds[self._number]
        is_first, is_last = self._number == 0, self._number + 1 == len(self._bounds)
        for first, sound in placed:
            if first < start:
                first, sound = start, sound[:, start - first :]  # noqa: PLW2901 - it would lie in the run before
            count = sound.shape[1]
            if not count:
                continue
            if not is_first and first < start + FADE_SAMPLES:
                sound = sound * ramp(np.arange(first, first + count) - start)  # noqa: PLW2901 - may be the decoder's
            if not is_last and first + count > end - FADE_SAMPLES:
                sound = sound * ramp(end - 1 - np.arange(first, first + count))  # noqa: PLW2901
            yield first, sound


def ramp(distance: NDArray[np.int64]) -> NDArray[np.float32]:
    """The gain at a ``distance`` in samples from a cut: float32, 0 to 1."""
    return np.clip((distance + 0.5) / FADE_SAMPLES, 0, 1).astype(np.float32)


class _Segment:
    """Converts frames of one run and one format to 48 kHz, and places them at output samples."""

    def __init__(self, frame: AudioFrame, run: AudioRun, first: int, rate_hz: int, offset_s: Fraction) -> None:
        self._format = _format(frame)
        # Mono stays mono until it is read: libswresample would upmix it at less than unity gain.
        layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
        is_ready = self._format == ("fltp", layout, SAMPLE_RATE_HZ)
        self._resampler = None if is_ready else AudioResampler(format="fltp", layout=layout, rate=SAMPLE_RATE_HZ)
        placer = CopyPlacer if keeps_time(run, rate_hz) else DriftPlacer
        self._placer = placer(run, first, rate_hz, offset_s)

    def continues(self, frame: AudioFrame) -> bool:
        return _format(frame) == self._format

    def push(self, frame: AudioFrame) -> Iterator[PlacedSamples]:
        yield from self._place(self._resampler.resample(frame) if self._resampler else [frame])

    def finish(self) -> Iterator[PlacedSamples]:
        if self._resampler:
            yield from self._place(self._resampler.resample(None))
        yield from self._placer.finish()

    def _place(self, converted: list[AudioFrame]) -> Iterator[PlacedSamples]:
        for frame in converted:
            yield from self._placer.push(frame.to_ndarray().astype(np.float32, copy=False))


def _format(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
