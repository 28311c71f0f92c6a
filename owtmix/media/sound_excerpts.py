"""Excerpts of a sound: short windows of it at 8 kHz, several in a second.

Decoding is most of what listening costs, so packets between excerpts are skipped where packets tell how many samples
they hold. The first frame behind skipped ones is dropped: a decoder needs what came before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.base.shortage import raise_if_short
from owtmix.media.counted_packets import samples_of
from owtmix.media.open import ffmpeg_reason
from owtmix.media.track_frames import TrackFrames
from owtmix.plan.media_info import AudioRun, AudioTrack

RATE_HZ: Final = 8000
WINDOW: Final = 320
"""Samples of an excerpt: enough periods of a low voice."""
PERIOD: Final = 1120
"""Samples from the beginning of an excerpt to that of the next one, at most."""
BLOCK_S: Final = 2
"""Of sound that is converted at once: one by one, frames cost three times as much."""
MOST_VALUES: Final = 1 << 20
"""Of all channels together, or of what becomes of them, that are converted at once."""

Floats = NDArray[np.float32]
Excerpts = tuple[NDArray[np.float64], Floats]
"""The file times (s) of the middles of excerpts, (n,), and their samples: float32 (n, ``WINDOW``), full scale 1."""


def excerpts_of(path: Path, track: AudioTrack, end_bytes: int | None = None) -> Iterator[Excerpts]:
    """Decode excerpts of ``track`` of a recording, whose packets end at ``end_bytes``.

    Raises:
        InputError: it cannot be opened, or read on.
    """
    listener = _Listener(track.rate_hz)
    try:
        with closing(TrackFrames(path, track, end_bytes)) as frames:
            for run, position, frame in frames.placed(listener.wants):
                yield from listener.hear(run, position, frame)
            yield from listener.finish()
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise_if_short(error)
        raise InputError(f"cannot be read on: {ffmpeg_reason(error)}") from None


class _Listener:
    """Chooses which packets are decoded, and finds the excerpts in what they hold.

    The first excerpt begins with a run, or behind skipped packets.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._window = WINDOW * rate_hz // RATE_HZ
        self._period = max(1, PERIOD * rate_hz // RATE_HZ)
        self._run: AudioRun | None = None
        # Positions, in samples of the run:
        self._end = 0
        """The end of what was decoded."""
        self._latest = self._next = 0
        """Where the latest excerpt begins, and the next one at the latest."""
        self._pool: _Pool | None = None

    def wants(self, run: AudioRun, position: int, samples: int) -> bool:
        """Whether a packet is decoded: it holds a part of an excerpt, or is the last one before the next excerpt."""
        is_between = self._latest + self._window <= position <= self._next - 2 * samples
        return run is not self._run or not is_between

    def hear(self, run: AudioRun, position: int, frame: AudioFrame) -> Iterator[Excerpts]:
        if run is not self._run or not self._pool or not self._pool.takes(frame):
            yield from self.finish()
            self._pool = _Pool(run, frame, self._rate_hz)
            self._run, self._next, self._end = run, position, position
        is_behind_skipped = position > self._end
        self._end = position + samples_of(frame, self._rate_hz)
        if is_behind_skipped:
            self._next = self._end
            return
        while self._next < self._end:
            self._pool.mark(self._next, self._next - position)
            self._latest, self._next = self._next, self._next + self._period
        yield from self._pool.add(frame)

    def finish(self) -> Iterator[Excerpts]:
        if self._pool:
            yield from self._pool.finish()
        self._pool = None


class _Pool:
    """Converts what was decoded of one run in one format, and cuts the excerpts out of it."""

    def __init__(self, run: AudioRun, frame: AudioFrame, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._knots = np.array([(position, float(t)) for position, t in run.knots]).T
        self._format = _format(frame)
        self._fifo = AudioFifo()
        most = min(MOST_VALUES // len(frame.layout.channels), MOST_VALUES * frame.sample_rate // RATE_HZ)
        self._most = max(1, min(BLOCK_S * frame.sample_rate, most))
        self._resampler = AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        self._samples = 0
        """How many were added."""
        self._marks: list[tuple[int, int]] = []
        """Where excerpts begin: in samples of the run, and in samples at 8 kHz of the pool."""
        self._sound: Floats = np.empty(0, np.float32)
        self._start = 0
        """The number of the first sample of ``_sound``."""

    def takes(self, frame: AudioFrame) -> bool:
        return _format(frame) == self._format

    def mark(self, position: int, ahead: int) -> None:
        """An excerpt begins at ``position``, ``ahead`` samples of the track behind the frame that is added next."""
        behind = self._samples * RATE_HZ // self._format[2]
        self._marks.append((position, behind + ahead * RATE_HZ // self._rate_hz))

    def add(self, frame: AudioFrame) -> Iterator[Excerpts]:
        frame.pts = None
        self._fifo.write(frame)
        self._samples += frame.samples
        while self._fifo.samples >= self._most:
            yield from self._convert(self._fifo.read(self._most))

    def finish(self) -> Iterator[Excerpts]:
        if self._fifo.samples:
            yield from self._convert(self._fifo.read())
        yield from self._convert(None)

    def _convert(self, frame: AudioFrame | None) -> Iterator[Excerpts]:
        converted = [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        sound = np.concatenate([self._sound, *converted])
        end = self._start + len(sound)
        ready = [mark for mark in self._marks if mark[1] + WINDOW <= end]
        self._marks = self._marks[len(ready) :]
        kept_from = min(self._marks[0][1], end) if self._marks else end
        self._sound, start, self._start = sound[kept_from - self._start :], self._start, kept_from
        if ready:
            firsts = np.array([at for _, at in ready]) - start
            middles = np.array([position for position, _ in ready]) + WINDOW * self._rate_hz / RATE_HZ / 2
            yield np.interp(middles, *self._knots), sound[firsts[:, None] + np.arange(WINDOW)]


def _format(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
