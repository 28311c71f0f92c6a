"""Excerpts are taken all along a sound, at the times that they tell, and what lies between them is not decoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from owtmix.media import sound_excerpts
from owtmix.media.probe import probe
from owtmix.media.sound_excerpts import PERIOD, RATE_HZ, WINDOW, excerpts_of
from owtmix.media.track_frames import TrackFrames
from tests.media.sounds import Sound, moments, tone, write_sound

SECONDS: Final = 30.0
NEAR_DB: Final = 1.5
"""Of a level after coding: more only near where it changes."""
STEP_S: Final = 0.5
"""So often the level changes."""
FILES: Final = [
    ("a.webm", "libopus", 48_000, 0.55),
    ("a.mp4", "aac", 48_000, 0.65),
    ("a.mp4", "aac", 44_100, 0.65),
    ("a.mkv", "aac", 32_000, 1.0),
    ("a.wav", "pcm_s16le", 8000, 1.0),
    ("a.ogg", "libopus", 16_000, 1.0),
]
"""Name, codec, rate, and how many of the packets are decoded at most: only some tell their samples."""


def level_db(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Another one every half second, between -10 and -40 dB."""
    return np.asarray(-10 - np.mod((seconds // STEP_S) * 7, 30))


def stepped(rate_hz: int) -> Sound:
    t = moments(SECONDS, rate_hz)
    return np.asarray(tone(t, 440, 1.0) * 10 ** (level_db(t) / 20), np.float32)[np.newaxis]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of packets that are decoded."""
    sizes: list[int] = []
    whole = TrackFrames._decoded

    def counted(frames: TrackFrames, packet: Packet[Stream]) -> Sequence[AudioFrame]:
        sizes.append(packet.size)
        return whole(frames, packet)

    monkeypatch.setattr(TrackFrames, "_decoded", counted)
    return sizes


@pytest.mark.parametrize(("name", "codec", "rate_hz", "share"), FILES)
def test_excerpts_are_what_is_heard_at_their_times(
    tmp_path: Path, decoded: list[int], name: str, codec: str, rate_hz: int, share: float
) -> None:
    path = write_sound(tmp_path / name, stepped(rate_hz), rate_hz, codec=codec)
    (track,) = probe(path).sounds
    parts = [*excerpts_of(path, track)]
    times = np.concatenate([middles for middles, _ in parts])
    sound = np.concatenate([excerpts for _, excerpts in parts])
    assert sound.shape == (len(times), WINDOW)
    assert 0 < np.diff(times).min() <= np.diff(times).max() <= PERIOD / RATE_HZ + 1e-6
    assert times[0] < 2 * PERIOD / RATE_HZ
    assert times[-1] > SECONDS - 2 * PERIOD / RATE_HZ

    packets = SECONDS * rate_hz / 1024 if codec == "aac" else SECONDS * 50
    if share < 1:
        assert len(decoded) < share * packets
    # Not beside a change, where an excerpt holds two levels, nor right behind one, where a decoder that was away from
    # the sound still approaches its level.
    within = np.mod(times, STEP_S)
    steady = (within > 0.15) & (within < STEP_S - 0.05)
    found = 10 * np.log10((sound.astype(np.float64) ** 2).mean(axis=1) * 2)
    assert np.abs(found - level_db(times))[steady].max() < NEAR_DB


def test_sound_with_a_high_rate_is_converted_in_smaller_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rate_hz = 96_000
    sound = np.repeat(stepped(rate_hz)[:, : 10 * rate_hz], 6, axis=0)
    path = write_sound(tmp_path / "a.wav", sound, rate_hz)
    (track,) = probe(path).sounds
    whole = [*excerpts_of(path, track)]
    monkeypatch.setattr(sound_excerpts, "MOST_VALUES", 6 * rate_hz // 2)
    parts = [*excerpts_of(path, track)]
    assert len(parts) > 2 * len(whole)
    for column in range(2):
        before, now = (np.concatenate([part[column] for part in found]) for found in (whole, parts))
        assert np.array_equal(before, now)


@pytest.mark.parametrize("rate_hz", [1, 8, 9, 30])
def test_sound_of_next_to_no_samples_ends(tmp_path: Path, rate_hz: int) -> None:
    path = write_sound(tmp_path / "a.wav", np.zeros((1, 100 * rate_hz), np.float32), rate_hz)
    (track,) = probe(path).sounds
    times = np.concatenate([middles for middles, _ in excerpts_of(path, track)])
    assert times[-1] > 50
    assert not np.concatenate([sound for _, sound in excerpts_of(path, track)]).any()


def test_sound_shorter_than_an_excerpt_has_none(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", np.zeros((1, WINDOW - 1), np.float32), RATE_HZ)
    assert [*excerpts_of(path, probe(path).sounds[0])] == []
