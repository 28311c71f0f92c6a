"""Finds voice in a sound: what is louder than what is always there, and has a pitch (docs/rooms.md, "Who speaks").

An adaptive detector, on excerpts of the sound: a hop is as the excerpt nearest to it. A hop is loud when it is
``ABOVE_FLOOR_DB`` above the floor, which is what nine of ten hops around it exceed. Loud hops at and beside those that
have the pitch of a voice are voice: breath, keys and rustling have none.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.media.sound_excerpts import PERIOD, RATE_HZ, WINDOW, Floats, excerpts_of
from owtmix.plan.media_info import AudioTrack
from owtmix.plan.voice import HOP_S, LOWEST_DB, MOST_HOPS, Voice, VoiceRun

FFT: Final = 448
"""Samples of a spectrum: of an excerpt, and the longest period of a pitch."""
BAND_HZ: Final = (90, 3800)
PITCH_HZ: Final = (70, 400)

ABOVE_FLOOR_DB: Final = 9.0
QUIETEST_DB: Final = -60.0
"""A voice that is quieter is not heard in a mix."""
FLOOR_SHARE: Final = 10
"""Percent of the hops around one that are below the floor."""
FLOOR_S: Final = 30
VOICED: Final = 0.45
"""Of its power, how much a hop repeats after a period of its pitch."""
CONSONANT_HOPS: Final = 4
"""What is loud so near to a pitch belongs to the voice."""
LEAST_PITCHED: Final = 6
PITCHED_SHARE: Final = 0.3
"""Of the hops of a piece of voice, how many have a pitch, and ``LEAST_PITCHED`` at least."""
LONGEST_PAUSE_HOPS: Final = 5
"""In a piece of voice: between words."""
REACH_HOPS: Final = PERIOD / RATE_HZ / float(HOP_S)
"""How far from the middle of an excerpt hops are like it, at most."""
SLICE_HOPS: Final = 1 << 16
"""So many hops at once become like their excerpts."""

NO_SOUND: Final = -np.inf


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
        at, found, pitched = _measured(path, track, end_bytes, (first + count) * HOP_S, advance)
        for start in range(0, count if at.size else 0, SLICE_HOPS):
            hops = slice(start, min(count, start + SLICE_HOPS))
            near, is_near = nearest(at - first, np.arange(hops.start, hops.stop, dtype=np.float64) + 0.5)
            is_louder = is_near & (found[near] > levels[hops])
            voicing[hops] = np.where(is_louder, pitched[near], voicing[hops])
            levels[hops] = np.where(is_louder, found[near], levels[hops])
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


def measure(excerpts: Floats) -> tuple[Floats, Floats]:
    """The level (dB, 0 is full scale) and the voicing (0 to 1) of each excerpt: float32 (n, ``WINDOW``)."""
    sound = np.clip(np.nan_to_num(excerpts, nan=0, posinf=0, neginf=0), -4, 4)
    spectrum = np.fft.rfft(sound * _HANN, FFT, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) * _IN_BAND
    repeats = np.fft.irfft(power, FFT, axis=1)[:, : _LAGS.stop]
    energy = np.maximum(repeats[:, 0], 1e-12)
    voicing = (repeats[:, _LAGS] / _WINDOW_REPEATS[_LAGS]).max(axis=1) / energy
    levels = 10 * np.log10(energy / _HANN_ENERGY)
    return np.maximum(levels, LOWEST_DB).astype(np.float32), np.clip(voicing, 0, 1).astype(np.float32)


def _measured(
    path: Path, track: AudioTrack, end_bytes: int | None, until_s: Fraction, advance: Callable[[Fraction], None]
) -> tuple[NDArray[np.float64], Floats, Floats]:
    """Of each excerpt of a track before ``until_s``, its middle in hops of file time, its level and its voicing."""
    times, levels, voicing = array("d"), array("f"), array("f")
    for middles_s, excerpts in excerpts_of(path, track, end_bytes):
        found, pitched = measure(excerpts)
        times.frombytes(middles_s.tobytes())
        levels.frombytes(found.tobytes())
        voicing.frombytes(pitched.tobytes())
        advance(Fraction(times[-1]))
        if times[-1] >= until_s:
            break
    order = np.argsort(times, kind="stable")
    at = np.asarray(times, np.float64)[order] / float(HOP_S)
    return at, np.asarray(levels, np.float32)[order], np.asarray(voicing, np.float32)[order]


def nearest(at: NDArray[np.float64], hops: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The number of the excerpt that is nearest to each of ``hops``, and whether it is near. Both are in order."""
    near = np.searchsorted((at[1:] + at[:-1]) / 2, hops)
    return near, np.abs(at[near] - hops) <= REACH_HOPS


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


def _hop(t: Fraction) -> int:
    return round(t / HOP_S)


_HANN: Final = np.hanning(WINDOW).astype(np.float32)
_HANN_ENERGY: Final = float((_HANN**2).sum())
_IN_BAND: Final = np.array([BAND_HZ[0] <= k * RATE_HZ / FFT <= BAND_HZ[1] for k in range(FFT // 2 + 1)], np.float32)
_LAGS: Final = slice(RATE_HZ // PITCH_HZ[1], RATE_HZ // PITCH_HZ[0] + 1)
_WINDOW_REPEATS: Final = np.fft.irfft(np.abs(np.fft.rfft(_HANN, FFT)) ** 2, FFT)[: _LAGS.stop] / _HANN_ENERGY
