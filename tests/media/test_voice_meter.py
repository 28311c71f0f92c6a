"""Voice is found where somebody speaks, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.demo.speech import spoken
from owtmix.media.probe import probe
from owtmix.media.sound_excerpts import RATE_HZ, WINDOW
from owtmix.media.voice_meter import find_voice
from owtmix.plan.media_info import ClockRules
from owtmix.plan.voice import HOP_S, Voice
from tests.media.sounds import write_sound

Sound = NDArray[np.float32]
SECONDS: Final = 20
CHANCE: Final = 7
MOST_AHEAD_S: Final = 8
"""Two seconds are decoded at a time, which are excerpts of seven."""


Listen = Callable[[Sound], Voice]


@pytest.fixture
def listen(tmp_path: Path) -> Listen:
    """Finds the voice in a sound at 8 kHz."""
    return lambda sound: found_in(write_sound(tmp_path / "a.wav", sound[np.newaxis], RATE_HZ, codec="pcm_f32le"))


def spans(voice: Voice) -> list[tuple[float, float]]:
    """The ranges of voice, in seconds."""
    return [(float(run.first * HOP_S), float((run.first + len(run.levels)) * HOP_S)) for run in voice.runs]


def noise(level_db: float, seconds: float = SECONDS) -> Sound:
    found = np.random.default_rng(CHANCE).standard_normal(int(seconds * RATE_HZ)) * 10 ** (level_db / 20)
    return found.astype(np.float32)


def put(sound: Sound, start_s: float, part: Sound) -> Sound:
    start = int(start_s * RATE_HZ)
    sound[start : start + len(part)] += part[: len(sound) - start]
    return sound


@pytest.mark.parametrize("level_db", [-12, -20, -32])
@pytest.mark.parametrize("hz", [90, 150, 300])
def test_words_are_found_twenty_decibels_above_noise(listen: Listen, level_db: float, hz: float) -> None:
    sound = put(noise(level_db - 20), 5, spoken(3, hz, level_db, RATE_HZ))
    ((start, end),) = spans(listen(sound))
    assert start == pytest.approx(5, abs=0.15)
    assert end == pytest.approx(8, abs=0.15)


def test_levels_are_those_of_the_words(listen: Listen) -> None:
    sound = put(noise(-70), 5, spoken(3, 150, -23, RATE_HZ))
    (run,) = listen(sound).runs
    assert np.median(run.levels) == pytest.approx(-23, abs=2)


def clicks(chance: np.random.Generator) -> Sound:
    """Keys that are struck, as loud as words."""
    sound = noise(-60)
    for start in np.cumsum(chance.uniform(0.08, 0.4, 40)):
        put(sound, float(start), (chance.standard_normal(100) * np.hanning(100) * 0.3).astype(np.float32))
    return sound


def breath(chance: np.random.Generator) -> Sound:
    sound = noise(-60)
    for start in range(2, SECONDS - 2, 3):
        count = int(1.2 * RATE_HZ)
        part = np.convolve(chance.standard_normal(count), [0.5, 0.5], "same") * np.hanning(count) * 0.05
        put(sound, start, part.astype(np.float32))
    return sound


@pytest.mark.parametrize("disturb", [clicks, breath])
def test_keys_and_breath_are_no_voice(listen: Listen, disturb: Callable[[np.random.Generator], Sound]) -> None:
    sound = disturb(np.random.default_rng(CHANCE))
    assert spans(listen(sound)) == []
    ((start, end),) = spans(listen(put(sound, 10, spoken(3, 150, -20, RATE_HZ))))
    assert start == pytest.approx(10, abs=0.3)
    assert end == pytest.approx(13, abs=0.3)


@pytest.mark.parametrize(
    "sound", [np.zeros(1, np.float32), np.zeros(WINDOW - 1, np.float32), np.zeros(80_000, np.float32), noise(-30)]
)
def test_silence_and_noise_are_no_voice(listen: Listen, sound: Sound) -> None:
    assert spans(listen(sound)) == []


def test_what_cannot_be_is_no_voice(listen: Listen) -> None:
    sound = np.full(80_000, np.nan, np.float32)
    sound[::3], sound[1::3] = np.inf, -3e38
    assert spans(listen(sound)) == []


def found_in(path: Path, until_s: Fraction | None = None) -> Voice:
    """The voice in a file, which is decoded in order, and not much farther than needed."""
    found = probe(path, lambda _: None, parts=None, wholly=False, rules=ClockRules())
    done: list[Fraction] = []
    voice = find_voice(path, found.sounds, until_s or found.span.end, done.append, found.end_bytes)
    assert len(found.sounds) > 1 or done == sorted(done)
    assert done or found.span.duration < 1
    assert max(done, default=Fraction(0)) < max(Fraction(0), until_s or found.span.end) + MOST_AHEAD_S
    return voice


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.webm", "libopus", 48_000),
        ("a.mp4", "aac", 44_100),
        ("a.wav", "pcm_s16le", 8000),
        ("a.ogg", "libopus", 16_000),
    ],
)
def test_it_is_found_in_file_time_whatever_the_codec(tmp_path: Path, name: str, codec: str, rate_hz: int) -> None:
    sound = np.zeros(40 * rate_hz, np.float32)
    for start in (3, 17, 31):
        part = spoken(4, 150, -20, rate_hz)
        sound[start * rate_hz : start * rate_hz + len(part)] = part
    voice = found_in(write_sound(tmp_path / name, sound[np.newaxis], rate_hz, codec=codec))
    found = [(float(run.first * HOP_S), float(len(run.levels) * HOP_S)) for run in voice.runs]
    assert [start for start, _ in found] == pytest.approx([3, 17, 31], abs=0.15)
    assert [length for _, length in found] == pytest.approx([4, 4, 4], abs=0.25)


def test_nothing_is_listened_to_behind_what_is_used(tmp_path: Path) -> None:
    """A file may claim days: what its index uses is twelve seconds."""
    rate_hz = 8000
    sound = np.zeros(40 * rate_hz, np.float32)
    for start in (3, 17, 31):
        put(sound, start, spoken(4, 150, -20, rate_hz))
    path = write_sound(tmp_path / "a.wav", sound[np.newaxis], rate_hz)
    assert [float(run.first * HOP_S) for run in found_in(path, Fraction(12)).runs] == pytest.approx([3], abs=0.15)
    assert found_in(path, Fraction(1)).runs == ()
    assert found_in(path, Fraction(-50)).runs == ()


def test_all_sounds_of_a_file_are_one_voice(tmp_path: Path) -> None:
    """One track has the words of the first ten seconds, the other one those of the next."""
    path = tmp_path / "two.mkv"
    with ExitStack() as opened, av.open(str(path), "w") as file:
        sources = []
        for number in range(2):
            sound = put(np.zeros(20 * RATE_HZ, np.float32), 2 + 10 * number, spoken(4, 150, -20, RATE_HZ))
            made = write_sound(tmp_path / f"{number}.wav", sound[np.newaxis], RATE_HZ)
            sources.append(opened.enter_context(av.open(str(made))))
        streams = [file.add_stream_from_template(source.streams.audio[0]) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux(audio=0):
                if packet.size:
                    packet.stream = stream
                    file.mux(packet)
    voice = found_in(path)
    assert [float(run.first * HOP_S) for run in voice.runs] == pytest.approx([2, 12], abs=0.15)
