"""Sound in its place: gapless, silent where nothing was, and never away from its time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.recorder.placed_sound import PlacedSound


def block(value: float, length: int = 960) -> NDArray[np.float32]:
    return np.full((2, length), value, np.float32)


def placed(*blocks: tuple[int, NDArray[np.float32]]) -> NDArray[np.float32]:
    """All that is given, one channel, which is the same as the other."""
    sound = PlacedSound()
    parts = [part for at, one in blocks for part in sound.add(at, one)]
    whole = np.concatenate(parts, axis=1)
    assert (whole[0] == whole[1]).all()
    assert max(part.shape[1] for part in parts) <= 48_000
    channel: NDArray[np.float32] = whole[0]
    return channel


def test_what_comes_in_time_is_left_alone() -> None:
    assert placed((0, block(1)), (960, block(2)), (1921, block(3))).tolist() == [1] * 960 + [2] * 960 + [3] * 960


def test_what_is_before_the_beginning_is_cut() -> None:
    assert placed((-312, block(1)), (648, block(2))).tolist() == [1] * 648 + [2] * 960
    assert placed((-312, block(1, 120)), (-192, block(2, 120)), (-72, block(3, 120))).tolist() == [3] * 48


def test_a_hole_is_silence() -> None:
    found = placed((0, block(1)), (960 + 200_000, block(2)))
    assert found.tolist() == [1] * 960 + [0] * 200_000 + [2] * 960


def test_one_lost_packet_is_silence() -> None:
    assert placed((0, block(1)), (1920, block(2))).tolist() == [1] * 960 + [0] * 960 + [2] * 960


def test_what_overlaps_is_cut() -> None:
    assert placed((0, block(1)), (480, block(2)), (1440, block(3))).tolist() == [1] * 960 + [2] * 480 + [3] * 960
    assert placed((0, block(1)), (0, block(2)), (-9600, block(2)), (960, block(3))).tolist() == [1] * 960 + [3] * 960


@pytest.mark.parametrize("drift", [1e-3, -1e-3])
def test_drift_is_taken_up_without_a_click(drift: float) -> None:
    """Ten times more than a card has: a tone stays where it was to half a millisecond, and smooth."""
    sound = PlacedSound()
    tone = np.sin(2 * np.pi * 440 / 48_000 * np.arange(960 * 3000)).astype(np.float32)
    parts = []
    for n in range(3000):
        at = round(n * 960 * (1 + drift))
        late = at - (sound.position or 0)
        assert abs(late) <= 25
        parts += list(sound.add(at, np.stack([tone[n * 960 : (n + 1) * 960]] * 2)))
    whole = np.concatenate(parts, axis=1)[0]
    steepest = max(abs(float(b - a)) for a, b in pairwise(whole[:480_000]))
    assert steepest < 2 * 2 * np.pi * 440 / 48_000


def test_waiting_gives_silence_up_to_a_time() -> None:
    sound = PlacedSound()
    assert list(sound.silence_to(5000)) == []
    assert [part.shape for part in sound.add(100, block(1))] == [(2, 960)]
    assert sum(part.shape[1] for part in sound.silence_to(100_000)) == 100_000 - 1060
