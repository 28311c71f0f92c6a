"""Words that are made in code: vowels of a pitch that wavers, with consonants between them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SYLLABLE_S: Final = 0.25
CONSONANT: Final = 0.15
"""Of a syllable, and of its loudest moment."""
FORMANTS_HZ: Final = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))


def spoken(seconds: float, hz: float, level_db: float, rate_hz: int) -> NDArray[np.float32]:
    """Four syllables a second.

    Args:
        seconds: how long.
        hz: the pitch.
        level_db: of the whole, 0 is full scale.
        rate_hz: of the samples.

    Returns:
        float32 (n,).
    """
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    phase = np.cumsum(hz * (1 + 0.06 * np.sin(2 * np.pi * 1.3 * t))) / rate_hz
    number = (t / SYLLABLE_S).astype(int)
    within = t / SYLLABLE_S - number
    sound = np.zeros(len(t))
    formants = np.array(FORMANTS_HZ)[number % len(FORMANTS_HZ)]
    for harmonic in range(1, int(min(3500, rate_hz / 2 - 100) / hz) + 1):
        gain = sum(1 / (1 + ((harmonic * hz - formants[:, k]) / 150) ** 2) / (k + 1) for k in range(3)) + 0.1 / harmonic
        sound += gain * np.sin(2 * np.pi * harmonic * phase)
    sound *= np.clip(8 * within, CONSONANT, 1) * np.clip(8 * (1 - within), CONSONANT, 1)
    loudest = np.abs(sound).max()
    sound += np.random.default_rng(1).standard_normal(len(t)) * (within < CONSONANT) * CONSONANT * loudest
    return np.asarray(sound / np.sqrt((sound**2).mean()) * 10 ** (level_db / 20), np.float32)
