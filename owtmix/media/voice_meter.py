"""Finds voice in a sound: what is louder than what is always there, and has a pitch (docs/rooms.md, "Who speaks").

An adaptive detector, on 8 kHz. A hop is loud when it is ``ABOVE_FLOOR_DB`` above the floor, which is what nine of ten
hops around it exceed. Loud hops at and beside those that have the pitch of a voice are voice: breath, keys and rustling
have none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
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
from owtmix.media.open import ffmpeg_reason
from owtmix.media.track_frames import TrackFrames
from owtmix.plan.media_info import AudioRun, AudioTrack
from owtmix.plan.voice import HOP_S, LOWEST_DB, MOST_HOPS, Voice, VoiceRun

RATE_HZ: Final = 8000
HOP: Final = int(RATE_HZ * HOP_S)
WINDOW: Final = 512
"""Samples in which a hop is measured: enough periods of a low voice."""
FFT: Final = 1024
BAND_HZ: Final = (90, 3800)
PITCH_HZ: Final = (70, 400)

ABOVE_FLOOR_DB: Final = 9.0
QUIETEST_DB: Final = -60.0
"""A voice that is quieter is not heard in a mix."""
FLOOR_SHARE: Final = 10
"""Percent of the hops around one that are below the floor."""
FLOOR_S: Final = 30
VOICED: Final = 0.55
"""Of its power, how much a hop repeats after a period of its pitch."""
CONSONANT_HOPS: Final = 4
"""What is loud so near to a pitch belongs to the voice."""
LEAST_PITCHED: Final = 3
PITCHED_SHARE: Final = 0.3
"""Of the hops of a piece of voice, how many have a pitch, and ``LEAST_PITCHED`` at least."""
LONGEST_PAUSE_HOPS: Final = 5
"""In a piece of voice: between words."""
BLOCK_HOPS: Final = 40

NO_SOUND: Final = -np.inf
Floats = NDArray[np.float32]


def find_voice(
    path: Path,
    tracks: Sequence[AudioTrack],
    until_s: Fraction,
    advance: Callable[[Fraction], None],
    end_bytes: int | None = None,
) -> Voice:
    """Decode all sounds ``tracks`` of a recording, and find the voice in them together.

    Args:
        path: the recording, whose packets end at ``end_bytes``.
        tracks: at least one.
        until_s: the file time up to which it is used: nothing is listened to from there on.
        advance: told the file time up to which a track was decoded.
        end_bytes: see ``path``.

    Raises:
        InputError: it cannot be opened.
    """
    first = min(_hop(track.span.start) for track in tracks)
    end_s = min(until_s, max(track.span.end for track in tracks))
    count = min(MOST_HOPS, max(0, _hop(end_s) + 2 - first))
    levels, voicing = np.full(count, NO_SOUND, np.float32), np.zeros(count, np.float32)
    for track in tracks:
        for hop, found, pitched in _measured(path, track, end_bytes):
            if hop - first >= count:
                break
            at = slice(hop - first, hop - first + len(found))
            found, pitched = found[: len(levels[at])], pitched[: len(levels[at])]  # noqa: PLW2901 - drift
            voicing[at] = np.where(found > levels[at], pitched, voicing[at])
            levels[at] = np.maximum(levels[at], found)
            advance(hop * HOP_S)
    return Voice(tuple(voice_runs(levels, voicing, first)))


def voice_runs(levels: Floats, voicing: Floats, first: int = 0) -> Iterator[VoiceRun]:
    """The pieces of voice.

    Args:
        levels: of each hop, in dB; ``NO_SOUND`` where there is none, not even silence.
        voicing: of each hop, 0 to 1: how much of it repeats.
        first: the number of the first hop.
    """
    loud = (levels >= _floors(levels) + ABOVE_FLOOR_DB) & (levels >= QUIETEST_DB)
    pitched = loud & (voicing >= VOICED)
    near = np.convolve(pitched, np.ones(2 * CONSONANT_HOPS + 1), "same") > 0 if pitched.any() else pitched
    voice = np.flatnonzero(loud & near)
    for piece in np.split(voice, np.flatnonzero(np.diff(voice) > LONGEST_PAUSE_HOPS) + 1):
        count = int(np.count_nonzero(pitched[piece]))
        if count >= LEAST_PITCHED and count >= PITCHED_SHARE * len(piece):
            whole = np.maximum(levels[piece[0] : piece[-1] + 1], LOWEST_DB)
            yield VoiceRun(first + int(piece[0]), tuple(int(level) for level in np.rint(whole)))


def measure_hops(sound: Floats) -> tuple[Floats, Floats]:
    """The level (dB, 0 is full scale) and the voicing (0 to 1) of each whole hop.

    Args:
        sound: float32 (n,), 8 kHz, full scale 1.0.
    """
    hops = len(sound) // HOP
    if not hops:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    # A hop is measured around its middle; beyond the ends there is silence.
    before = (WINDOW - HOP) // 2
    padded = np.zeros((hops - 1) * HOP + WINDOW, np.float32)
    kept = sound[: len(padded) - before]
    padded[before : before + len(kept)] = kept
    np.nan_to_num(padded, copy=False, nan=0, posinf=0, neginf=0)
    np.clip(padded, -4, 4, out=padded)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * _HANN
    spectrum = np.fft.rfft(windows, FFT, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) * _IN_BAND
    repeats = np.fft.irfft(power, FFT, axis=1)[:, : _LAGS.stop]
    energy = np.maximum(repeats[:, 0], 1e-12)
    voicing = (repeats[:, _LAGS] / _WINDOW_REPEATS[_LAGS]).max(axis=1) / energy
    levels = 10 * np.log10(energy / _HANN_ENERGY)
    return np.maximum(levels, LOWEST_DB).astype(np.float32), np.clip(voicing, 0, 1).astype(np.float32)


def _floors(levels: Floats) -> Floats:
    """What is always there around each hop, in dB. Where there is no sound says nothing of it."""
    heard = levels > NO_SOUND
    per_block = int(FLOOR_S / HOP_S) // 3
    floors = np.empty_like(levels)
    for start in range(0, len(levels), per_block):
        around = slice(max(0, start - per_block), start + 2 * per_block)
        known = levels[around][heard[around]]
        floors[start : start + per_block] = np.percentile(known, FLOOR_SHARE) if known.size else LOWEST_DB
    return floors


def _measured(path: Path, track: AudioTrack, end_bytes: int | None) -> Iterator[tuple[int, Floats, Floats]]:
    """Levels and voicing of a track, from a hop on, block by block."""
    frames = TrackFrames(path, track, end_bytes)
    try:
        for at_s, sound in _blocks(frames, track.rate_hz):
            yield (_hop(at_s), *measure_hops(sound))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise_if_short(error)
        raise InputError(f"cannot be read on: {ffmpeg_reason(error)}") from None
    finally:
        frames.close()


def _blocks(frames: TrackFrames, rate_hz: int) -> Iterator[tuple[Fraction, Floats]]:
    """The sound at 8 kHz, in blocks, each with the file time at which it begins."""
    block: _Block | None = None
    for run, position, frame in frames.placed():
        if block and not block.continues(run, frame):
            yield from block.finish()
            block = None
        if block is None:
            block = _Block(run, position, frame, rate_hz)
        yield from block.push(frame)
    if block:
        yield from block.finish()


class _Block:
    """Collects frames of one run and one format: converting many at once costs a third of doing it one by one."""

    def __init__(self, run: AudioRun, position: int, frame: AudioFrame, rate_hz: int) -> None:
        self._run, self._rate_hz = run, rate_hz
        self._at = position
        self._fifo = AudioFifo()
        self._format = _format(frame)
        self._resampler = AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        self._waiting: list[Floats] = []
        self._count = 0

    def continues(self, run: AudioRun, frame: AudioFrame) -> bool:
        return run is self._run and _format(frame) == self._format

    def push(self, frame: AudioFrame) -> Iterator[tuple[Fraction, Floats]]:
        frame.pts = None
        self._fifo.write(frame)
        if self._fifo.samples * RATE_HZ >= BLOCK_HOPS * HOP * frame.sample_rate:
            yield from self._convert(self._fifo.read())

    def finish(self) -> Iterator[tuple[Fraction, Floats]]:
        rest = self._fifo.read(partial=True) if self._fifo.samples else None
        if rest:
            yield from self._convert(rest)
        yield from self._convert(None)
        if self._waiting:
            yield self._time(), np.concatenate(self._waiting)

    def _convert(self, frame: AudioFrame | None) -> Iterator[tuple[Fraction, Floats]]:
        for converted in self._resampler.resample(frame):
            self._waiting.append(converted.to_ndarray()[0])
            self._count += converted.samples
        hops = self._count // HOP
        if hops:
            sound = np.concatenate(self._waiting)
            yield self._time(), sound[: hops * HOP]
            self._waiting, self._count = [sound[hops * HOP :]], self._count - hops * HOP
            self._at += hops * HOP * self._rate_hz // RATE_HZ

    def _time(self) -> Fraction:
        """File time of the first sample that waits."""
        knots = self._run.knots
        number = max(1, bisect_right(knots, self._at, hi=len(knots) - 1, key=lambda knot: knot[0]))
        (a, start_s), (b, end_s) = knots[number - 1 : number + 1]
        return start_s + (end_s - start_s) * Fraction(self._at - a, b - a)


def _format(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _hop(t: Fraction) -> int:
    return round(t / HOP_S)


_HANN: Final = np.hanning(WINDOW).astype(np.float32)
_HANN_ENERGY: Final = float((_HANN**2).sum())
_IN_BAND: Final = np.array([BAND_HZ[0] <= k * RATE_HZ / FFT <= BAND_HZ[1] for k in range(FFT // 2 + 1)], np.float32)
_LAGS: Final = slice(RATE_HZ // PITCH_HZ[1], RATE_HZ // PITCH_HZ[0] + 1)
_WINDOW_REPEATS: Final = np.fft.irfft(np.abs(np.fft.rfft(_HANN, FFT)) ** 2, FFT)[: _LAGS.stop] / _HANN_ENERGY
