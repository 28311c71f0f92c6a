"""Sources are mixed at their places on the output."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from cProfile import Profile
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.base.time import TimeRange
from owtmix.inputs.source_file import SourceFile
from owtmix.media.audio_reader import FADE_SAMPLES
from owtmix.media.probe import probe
from owtmix.plan.media_info import AudioRun, AudioTrack, Damage
from owtmix.plan.model import AudioPlacement
from owtmix.produce.file_sources import FileSources
from owtmix.render import audio_mix
from owtmix.render.audio_mix import MixObserver, mix
from owtmix.storage import LocalCopy
from owtmix.workers.pending_files import mark_missing, mark_pending, unmark
from tests.media.sounds import Sound, moments, probe_sound, sweep, tone, write_sound
from tests.support.sources import MemorySources, WatchedAudioSources

RATE_HZ = 48_000

LEVEL_STEP_DB = 0.1
"""An inaudible difference."""


def fail_on_warning(source: int, problem: str) -> None:
    raise AssertionError(f"{source}: {problem}")


def memory_track(length_s: Fraction | int) -> AudioTrack:
    """The track of a sound without a file."""
    return AudioTrack(
        0, "pcm_f32le", RATE_HZ, 2, (AudioRun(((0, Fraction(0)), (int(length_s * RATE_HZ), Fraction(length_s)))),)
    )


class Room:
    """Sources placed on an output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.placements: list[AudioPlacement] = []
        self.paths: list[Path] = []
        self.warnings: list[tuple[int, str]] = []

    def add(self, sound: NDArray[np.float32], start_s: Fraction, span: TimeRange | None = None) -> Path:
        """Place mono ``sound``, of 48 kHz; it sounds within ``span``, all of it unless told."""
        path = write_sound(self.folder / f"{len(self.paths)}.mkv", sound[None], RATE_HZ, codec="pcm_f32le")
        track = probe_sound(path)
        self.placements.append(
            AudioPlacement(len(self.paths), track, span or track.span.shifted(start_s), start_s - track.span.start)
        )
        self.paths.append(path)
        return path

    @property
    def sources(self) -> FileSources:
        return sources_of(self.paths)

    def mix(self, duration_samples: int) -> Sound:
        observer = MixObserver(lambda *warning: self.warnings.append(warning))
        return np.concatenate(list(mix(self.placements, self.sources, duration_samples, observer)), axis=1)


def sources_of(paths: Sequence[Path]) -> FileSources:
    return FileSources([SourceFile(path.name, LocalCopy(path)) for path in paths])


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def level_db(sound: Sound, hz: float, start_s: float, end_s: float) -> float:
    """RMS of the tone at ``hz`` in whole seconds of one channel."""
    part = sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    wave = np.exp(-2j * np.pi * hz * np.arange(len(part)) / RATE_HZ)
    return float(20 * np.log10(np.abs(np.sum(part * wave)) / len(part) * np.sqrt(2)))


def test_no_level_changes_while_a_fourth_person_joins_and_leaves(room: Room) -> None:
    people = {300.0: 0.1, 500.0: 0.2, 700.0: 0.05}
    for hz, amplitude in people.items():
        room.add(tone(moments(6, RATE_HZ), hz, amplitude), Fraction(0))
    room.add(tone(moments(2, RATE_HZ), 900, 0.3), Fraction(2))
    heard = room.mix(6 * RATE_HZ)
    for channel in heard:
        for hz, amplitude in people.items():
            expected = 20 * np.log10(amplitude / np.sqrt(2))
            for start_s in (0.5, 2.5, 4.5):
                assert level_db(channel, hz, start_s, start_s + 1) == pytest.approx(expected, abs=LEVEL_STEP_DB)


def test_sources_are_summed_to_the_sample(room: Room) -> None:
    first, second = sweep(moments(3, RATE_HZ)), 0.5 * sweep(moments(2, RATE_HZ) + 1)
    room.add(first, Fraction(0))
    room.add(second, Fraction(100_001, RATE_HZ))
    expected = np.zeros(200_000, np.float32)
    expected[: len(first)] = first
    expected[100_001 : 100_001 + len(second)] += second
    heard = room.mix(200_000)
    assert np.array_equal(heard, np.stack([expected, expected]))


def test_a_start_between_samples_goes_to_the_nearest(room: Room) -> None:
    sound = sweep(moments(1, RATE_HZ) + 1)
    room.add(sound, Fraction(3, 4) / RATE_HZ + 1)
    heard = room.mix(3 * RATE_HZ)
    assert np.array_equal(heard[0, RATE_HZ + 1 :][: len(sound)], sound)


def test_four_sources_at_full_scale_do_not_clip(room: Room) -> None:
    for hz in (200.0, 310.0, 450.0, 623.0):
        room.add(tone(moments(3, RATE_HZ), hz, 1), Fraction(0))
    heard = room.mix(3 * RATE_HZ).astype(np.float64)
    oversampled = np.fft.irfft(np.pad(np.fft.rfft(heard), ((0, 0), (0, 7 * 72_000))), 8 * 144_000) * 8
    assert 20 * np.log10(np.abs(oversampled).max()) <= -1


def test_a_source_cut_in_the_middle_fades_instead_of_clicking(room: Room) -> None:
    sound = np.full(3 * RATE_HZ, 0.5, np.float32)
    room.add(sound, Fraction(0), TimeRange(Fraction(1), Fraction(2)))
    heard = room.mix(3 * RATE_HZ)[0]
    assert not heard[:RATE_HZ].any()
    assert not heard[2 * RATE_HZ :].any()
    assert np.all(heard[RATE_HZ + FADE_SAMPLES : 2 * RATE_HZ - FADE_SAMPLES] == 0.5)
    assert np.abs(np.diff(heard)).max() < 1 / FADE_SAMPLES


def test_a_whole_source_is_not_faded(room: Room) -> None:
    room.add(np.full(RATE_HZ, 0.5, np.float32), Fraction(1))
    heard = room.mix(3 * RATE_HZ)[0]
    assert np.all(heard[RATE_HZ : 2 * RATE_HZ] == 0.5)
    assert not heard[:RATE_HZ].any()
    assert not heard[2 * RATE_HZ :].any()


def test_a_room_without_sound_is_silent(room: Room) -> None:
    heard = room.mix(50_000)
    assert heard.shape == (2, 50_000)
    assert not heard.any()


def test_a_file_that_was_removed_is_silent_with_a_warning(room: Room) -> None:
    sound = sweep(moments(2, RATE_HZ))
    room.add(sound, Fraction(0)).unlink()
    room.add(sound, Fraction(0))
    heard = room.mix(2 * RATE_HZ)
    assert np.array_equal(heard[0], sound)
    assert [source for source, _ in room.warnings] == [0]


def test_a_file_truncated_since_it_was_probed_is_heard_up_to_its_end(room: Room) -> None:
    sound = sweep(moments(4, RATE_HZ))
    path = room.add(sound, Fraction(0))
    path.write_bytes(path.read_bytes()[: 2 * RATE_HZ * 4])
    heard = room.mix(4 * RATE_HZ)[0]
    assert np.array_equal(heard[: round(1.8 * RATE_HZ)], sound[: round(1.8 * RATE_HZ)])
    assert not heard[round(2.1 * RATE_HZ) :].any()


def test_files_are_open_only_while_they_are_heard(room: Room) -> None:
    opened = 0
    most = 0

    def on_open(_: int) -> None:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)

    def on_close(_: int) -> None:
        nonlocal opened
        opened -= 1

    for second in range(8):
        room.add(sweep(moments(1, RATE_HZ)), Fraction(second))
    for _ in mix(room.placements, WatchedAudioSources(room.sources, on_open, on_close), 8 * RATE_HZ):
        pass
    assert most == 1
    assert opened == 0


def test_sounds_need_no_files() -> None:
    """Mixing uses nothing but the protocol of sources."""
    first, second = (np.stack([sweep(moments(2, RATE_HZ) + n), sweep(moments(2, RATE_HZ) - n)]) for n in (0, 1))
    track = memory_track(2)
    placements = [
        AudioPlacement(0, track, track.span, Fraction(0)),
        AudioPlacement(1, track, track.span.shifted(Fraction(1)), Fraction(1)),
    ]
    expected = np.zeros((2, 3 * RATE_HZ), np.float32)
    expected[:, : 2 * RATE_HZ] = first
    expected[:, RATE_HZ:] += second
    sources = MemorySources(sounds={0: first, 1: second})
    heard = np.concatenate(list(mix(placements, sources, 3 * RATE_HZ, MixObserver(fail_on_warning))), axis=1)
    assert np.array_equal(heard, expected)


def test_sources_are_read_only_where_they_have_sound() -> None:
    """Twice the files take twice the calls, not four times: a day may have ten thousand files."""
    track = memory_track(Fraction(1, 5))
    sources = MemorySources(sounds={0: np.full((2, RATE_HZ // 5), 0.25, np.float32)})

    def calls(count: int) -> int:
        placed = [
            AudioPlacement(0, track, track.span.shifted(Fraction(second)), Fraction(second))
            for second in reversed(range(count))
        ]
        profile = Profile()
        blocks = profile.runcall(lambda: list(mix(placed, sources, count * RATE_HZ, MixObserver(fail_on_warning))))
        heard = np.concatenate(blocks, axis=1)[0].reshape(count, RATE_HZ)
        assert np.abs(heard).max(axis=1).min() > 0.1
        return sum(
            entry.callcount
            for entry in profile.getstats()
            if not isinstance(entry.code, str) and entry.code.co_filename == audio_mix.__file__
        )

    assert calls(40) > 40
    assert calls(80) < 2.1 * calls(40)


def test_memory_does_not_grow_with_the_length_of_the_room(room: Room) -> None:
    room.add(np.zeros(20 * RATE_HZ, np.float32), Fraction(0))
    room.add(np.zeros(20 * RATE_HZ, np.float32), Fraction(1))
    peaks = []
    for duration_s in (3, 20):
        tracemalloc.start()
        for _ in mix(room.placements, room.sources, duration_s * RATE_HZ):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_mixing_waits_for_a_file_that_is_being_fetched(room: Room) -> None:
    path = room.add(tone(moments(1, RATE_HZ), 500, 0.25), Fraction(1))
    away = path.with_name("away")
    expected = room.mix(2 * RATE_HZ)
    mark_pending(path)
    path.rename(away)
    waits: list[Fraction] = []

    def wait(needed_s: Fraction) -> None:
        waits.append(needed_s)
        if len(waits) == 2:
            away.rename(path)
            unmark(path)

    observer = MixObserver(fail_on_warning, on_wait=wait)
    mixed = np.concatenate(list(mix(room.placements, room.sources, 2 * RATE_HZ, observer)), axis=1)
    assert np.array_equal(mixed, expected)
    assert waits == [1, 1]


def test_a_file_that_cannot_be_fetched_is_silent_without_a_warning(room: Room) -> None:
    """The prefetcher has warned already."""
    for hz in (500, 800):
        path = room.add(tone(moments(1, RATE_HZ), hz, 0.25), Fraction(0))
    path.unlink()
    mark_missing(path)
    heard = room.mix(RATE_HZ)[0]
    assert level_db(heard, 500, 0, 1) == pytest.approx(-15, abs=0.1)
    assert level_db(heard, 800, 0, 1) < -80
    assert not room.warnings


def test_damage_is_reported_for_each_source(tmp_path: Path) -> None:
    path = write_sound(
        tmp_path / "a.mp4", sweep(moments(4, RATE_HZ))[None], RATE_HZ, codec="aac", damaged=range(60, 70)
    )
    track = probe(path).sounds[0]
    assert track
    told: dict[int, Damage] = {}
    placed = [
        AudioPlacement(n, track, TimeRange(Fraction(0), Fraction(end)), Fraction(0)) for n, end in ((0, 4), (1, 1))
    ]
    assert list(mix(placed, sources_of([path, path]), 4 * RATE_HZ, MixObserver(fail_on_warning, told.__setitem__)))
    assert {n: damage.count for n, damage in told.items()} == {0: 10, 1: 0}


def test_what_is_silent_has_no_sound_and_soft_edges(room: Room) -> None:
    """Ranges that begin and end at any sample, in and across the blocks of the mix, up to the end of the source."""
    room.add(tone(moments(4, RATE_HZ), 440, 0.5), Fraction(0))
    room.add(tone(moments(4, RATE_HZ), 700, 0.25), Fraction(0))
    silent = tuple(
        TimeRange(Fraction(start), Fraction(end))
        for start, end in (("0.4", "0.60001"), ("1.2", "1.20001"), ("3.3", "4"))
    )
    (whole,) = (np.concatenate(list(mix(room.placements[:1], room.sources, 4 * RATE_HZ)), axis=1),)
    other = np.concatenate(list(mix(room.placements[1:], room.sources, 4 * RATE_HZ)), axis=1)
    room.placements[0] = replace(room.placements[0], silent=silent)
    heard = room.mix(4 * RATE_HZ) - other
    gain = np.ones(4 * RATE_HZ)
    for span in silent:
        first, after = floor(span.start * RATE_HZ), ceil(span.end * RATE_HZ)
        gain[first:after] = 0
        slope = (np.arange(FADE_SAMPLES) + 0.5) / FADE_SAMPLES
        gain[first - FADE_SAMPLES : first] *= slope[::-1]
        gain[after : after + FADE_SAMPLES] *= slope[: len(gain) - after]
    assert np.abs(heard - whole * gain).max() < 1e-4
