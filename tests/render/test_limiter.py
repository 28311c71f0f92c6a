"""The limiter: sound below the ceiling is not changed, and no peak is above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.render.limiter import BLOCK, CEILING_DB, LOOK_AHEAD, RELEASE_PER_S, limit

RATE_HZ = 48_000
SECONDS = np.arange(3 * RATE_HZ) / RATE_HZ

Sound = NDArray[np.float32]


def limited(sound: Sound, cuts: Sequence[int] = ()) -> Sound:
    return np.concatenate(list(limit(np.split(sound, cuts, axis=1))), axis=1)


def true_peak_db(sound: Sound) -> float:
    """Sixteen times oversampled through the spectrum: an exact measure that shares nothing with the limiter."""
    count = sound.shape[1]
    spectrum = np.zeros((len(sound), 8 * count + 1), np.complex128)
    spectrum[:, : count // 2] = np.fft.rfft(sound.astype(np.float64))[:, : count // 2]
    return float(20 * np.log10(np.abs(np.fft.irfft(spectrum, 16 * count) * 16).max()))


def stereo(left: NDArray[np.float64], right: NDArray[np.float64] | None = None) -> Sound:
    return np.stack([left, left if right is None else right]).astype(np.float32)


def noise() -> NDArray[np.float64]:
    """Noise up to 20 kHz, about 12 dB too loud."""
    spectrum = np.fft.rfft(np.random.default_rng(4).standard_normal(len(SECONDS)))
    spectrum[20_000 * 3 :] = 0
    return np.fft.irfft(spectrum, len(SECONDS))


LOUD: dict[str, Callable[[], NDArray[np.float64]]] = {
    "four voices": lambda: np.sum([np.sin(2 * np.pi * hz * SECONDS) for hz in (220, 997, 3001, 11_025.5)], axis=0),
    "between samples": lambda: 1.5 * np.sin(2 * np.pi * 12_000 * SECONDS + np.pi / 4),
    "square": lambda: 3 * np.sign(np.sin(2 * np.pi * 440 * SECONDS)),
    "shots": lambda: np.where(SECONDS % 0.5 < 0.1, 4.0, 0.3) * np.sin(2 * np.pi * 330 * SECONDS),
    "noise": noise,
}


@pytest.mark.parametrize("name", LOUD)
def test_the_true_peak_stays_below_the_ceiling(name: str) -> None:
    sound = stereo(LOUD[name]())
    assert true_peak_db(sound) > 0
    assert true_peak_db(limited(sound)) <= CEILING_DB


@pytest.mark.parametrize("level", [0.01, 0.5, 0.85])
def test_sound_below_the_ceiling_passes_bit_by_bit(level: float) -> None:
    sound = stereo(level * np.sin(2 * np.pi * 440 * SECONDS), level * np.sin(2 * np.pi * 1234 * SECONDS))
    assert np.array_equal(limited(sound), sound)


def test_sound_before_and_long_after_a_peak_passes_bit_by_bit() -> None:
    sound = stereo(0.3 * np.sin(2 * np.pi * 440 * SECONDS))
    sound[:, 50_000:50_100] *= 8
    heard = limited(sound)
    recovered = 50_100 + LOOK_AHEAD + round(RATE_HZ / RELEASE_PER_S)
    assert np.array_equal(heard[:, : 50_000 - 2 * LOOK_AHEAD], sound[:, : 50_000 - 2 * LOOK_AHEAD])
    assert np.array_equal(heard[:, recovered:], sound[:, recovered:])


def test_the_gain_moves_smoothly() -> None:
    steady = np.full((2, len(SECONDS)), 0.1, np.float32)
    steady[:, 70_000:70_010] = 4
    gain = limited(steady)[0] / steady[0]
    assert 0.15 < gain.min() < 0.25
    assert np.abs(np.diff(gain)).max() < 4 / LOOK_AHEAD


def test_both_channels_have_one_gain() -> None:
    quiet = 0.1 * np.sin(2 * np.pi * 440 * SECONDS)
    sound = stereo(LOUD["shots"](), quiet)
    left, right = limited(sound)
    loud = np.abs(sound[0]) > 0.5
    ratio = left[loud] / sound[0][loud]
    assert np.abs(right[loud] - ratio * sound[1][loud]).max() < 1e-6


@pytest.mark.parametrize("cuts", [[1], [BLOCK], [BLOCK - 1, BLOCK + 1, 100_001], list(range(0, 144_000, 999))])
def test_the_sizes_of_blocks_do_not_change_the_result(cuts: list[int]) -> None:
    sound = stereo(LOUD["shots"](), LOUD["four voices"]())
    assert np.array_equal(limited(sound, cuts), limited(sound))


@pytest.mark.parametrize("count", [0, 1, LOOK_AHEAD, BLOCK, BLOCK + 1])
def test_the_number_of_samples_does_not_change(count: int) -> None:
    sound = np.full((2, count), 2, np.float32)
    blocks = list(limit([sound]))
    assert sum(block.shape[1] for block in blocks) == count
    assert all(np.abs(block).max() < 1 for block in blocks)
