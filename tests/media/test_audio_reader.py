"""Sound of recordings, read at output sample positions."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.media.audio_reader import AudioReader
from owtmix.media.audio_resample import keeps_time
from owtmix.media.probe import probe
from owtmix.plan.media_info import AudioTrack, Damage
from tests.media.sounds import Sound, moments, probe_sound, sweep, tone, write_sound

RATE_HZ = 48_000

LOSSY = 0.08
"""RMS error of a sweep at 0.4 through a lossy codec; a shift by one output sample stays below it."""

ONE_MS_OFF = 0.3
"""More RMS error than a sweep that is a millisecond off has can only be another sound."""


def read(path: Path, duration_s: float, offset_s: Fraction = Fraction(0), block: int = 24_000) -> Sound:
    """The first ``duration_s`` of output, measured by decoding."""
    track = probe_sound(path)
    count = round(duration_s * RATE_HZ)
    with AudioReader(path, track, offset_s) as reader:
        return np.concatenate([reader.read(n, min(block, count - n)) for n in range(0, count, block)], axis=1)


def rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def delay(heard: Sound, expected: Sound, reach: int = 100) -> int:
    """The delay of ``heard`` in samples, within ``reach`` either way."""
    errors = [rms(np.roll(heard, -shift)[reach:-reach] - expected[reach:-reach]) for shift in range(-reach, reach + 1)]
    return int(np.argmin(errors)) - reach


def slowed(by: Fraction) -> NDArray[np.float64]:
    """Times in the source for a minute of sound whose clock is slow ``by`` a fraction."""
    return np.arange(round(60 * RATE_HZ * (1 + by))) / RATE_HZ / float(1 + by)


def test_sound_at_the_output_rate_is_copied_bit_by_bit(tmp_path: Path) -> None:
    sound = sweep(moments(3, RATE_HZ))[None]
    heard = read(write_sound(tmp_path / "a.mkv", sound, RATE_HZ, codec="pcm_f32le"), 4)
    assert np.array_equal(heard[:, : 3 * RATE_HZ], np.repeat(sound, 2, axis=0))
    assert not heard[:, 3 * RATE_HZ :].any()


def test_mono_at_another_rate_keeps_its_time_and_level(tmp_path: Path) -> None:
    heard = read(write_sound(tmp_path / "a.mkv", sweep(moments(5, 44_100))[None], 44_100), 5)
    assert np.array_equal(heard[0], heard[1])
    assert np.abs(heard[0] - sweep(moments(5, RATE_HZ)))[100:-100].max() < 0.003


def test_a_file_that_starts_at_60_s_is_placed_by_what_it_presents_first(tmp_path: Path) -> None:
    sound = sweep(moments(4, 44_100))[None]
    path = write_sound(tmp_path / "a.mp4", sound, 44_100, codec="aac", retime=lambda t: t + 60)
    track = probe_sound(path)
    assert track.span.start == 60 - Fraction(1024, 44_100)  # encoder priming, which shifted timestamps make audible
    assert keeps_time(track.runs[0], track.rate_hz)
    heard = read(path, 4, Fraction(-60))
    expected = sweep(moments(4, RATE_HZ))
    assert delay(heard[0], expected) == 0
    assert rms((heard[0] - expected)[2000:-2000]) < LOSSY


def test_priming_that_an_edit_list_hides_is_not_presented(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mp4", sweep(moments(4, RATE_HZ))[None], RATE_HZ, codec="aac")
    assert probe_sound(path).span.start == 0
    assert delay(read(path, 4)[0], sweep(moments(4, RATE_HZ))) == 0


def test_opus_pre_skip_is_not_presented(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.webm", sweep(moments(4, RATE_HZ))[None], RATE_HZ, codec="libopus")
    track = probe_sound(path)
    assert keeps_time(track.runs[0], RATE_HZ)
    heard = read(path, 4, -track.span.start)
    assert abs(delay(heard[0], sweep(moments(4, RATE_HZ)))) <= 1


@pytest.mark.parametrize(("codec", "name"), [("pcm_s16le", "a.mkv"), ("libopus", "a.webm"), ("aac", "a.mp4")])
def test_holes_are_silent_and_do_not_shift_what_follows(tmp_path: Path, codec: str, name: str) -> None:
    sound = sweep(moments(6, RATE_HZ))[None]
    path = write_sound(
        tmp_path / name, sound, RATE_HZ, codec=codec, retime=lambda t: None if Fraction(2) <= t < Fraction("3.5") else t
    )
    heard = read(path, 6, -probe_sound(path).span.start)[0]
    assert not heard[round(2.1 * RATE_HZ) : round(3.4 * RATE_HZ)].any()
    expected = sweep(moments(6, RATE_HZ))
    for start_s, end_s in ((0.1, 1.9), (3.6, 5.9)):
        part = slice(round(start_s * RATE_HZ), round(end_s * RATE_HZ))
        assert abs(delay(heard[part], expected[part])) <= RATE_HZ // 1000


@pytest.mark.parametrize("drift", [Fraction(1, 1000), Fraction(-1, 1000)])
@pytest.mark.parametrize("rate_hz", [16_000, RATE_HZ])
def test_drift_is_corrected_to_the_end(tmp_path: Path, drift: Fraction, rate_hz: int) -> None:
    sound = sweep(moments(60, rate_hz))[None]
    path = write_sound(tmp_path / "a.mkv", sound, rate_hz, retime=lambda t: t * (1 + drift))
    expected = sweep(slowed(drift))
    heard = read(path, len(expected) / RATE_HZ)[0]
    for start_s in (0.1, 30, 57.5):
        part = slice(round(start_s * RATE_HZ), round((start_s + 2) * RATE_HZ))
        assert abs(delay(heard[part], expected[part])) <= RATE_HZ // 1000


def test_correcting_drift_is_not_heard(tmp_path: Path) -> None:
    hz, drift = 3000.0, Fraction(1, 1000)
    path = write_sound(
        tmp_path / "a.mkv", tone(moments(20, RATE_HZ), hz, 0.5)[None], RATE_HZ, retime=lambda t: t * (1 + drift)
    )
    heard = read(path, 18)[0, RATE_HZ:].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    peak = int(spectrum.argmax())
    assert peak * RATE_HZ / len(heard) == pytest.approx(hz / float(1 + drift), abs=0.1)
    rest = np.concatenate((spectrum[100 : peak - 20], spectrum[peak + 20 :]))
    assert 20 * np.log10(rest.max() / spectrum.max()) < -75


def test_the_sizes_of_reads_do_not_matter(tmp_path: Path) -> None:
    sound = sweep(moments(3, 16_000))[None]
    path = write_sound(tmp_path / "a.mkv", sound, 16_000, retime=lambda t: t * Fraction(102, 100))
    assert np.array_equal(read(path, 3, block=24_000), read(path, 3, block=777))


def test_reading_may_begin_late_and_skip(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mkv", sweep(moments(4, RATE_HZ))[None], RATE_HZ)
    expected = sweep(moments(4, RATE_HZ))
    with AudioReader(path, probe_sound(path), Fraction(-1)) as reader:
        for first in (10, RATE_HZ, 2 * RATE_HZ + 123):
            heard = reader.read(first, 5000)[0]
            assert np.abs(heard - expected[RATE_HZ + first :][:5000]).max() < 0.001


@pytest.mark.parametrize("measured", ["by decoding", "by its tables"])
def test_damaged_packets_are_silent_and_do_not_shift_the_rest(tmp_path: Path, measured: str) -> None:
    damaged = range(60, 100)
    path = write_sound(tmp_path / "a.mp4", sweep(moments(4, RATE_HZ))[None], RATE_HZ, codec="aac", damaged=damaged)
    track = probe_sound(path) if measured == "by decoding" else probe(path).sounds[0]
    assert track
    assert (track.packet_samples, len(track.runs)) == ((0, 2) if measured == "by decoding" else (1024, 1))
    with AudioReader(path, track, Fraction(0)) as reader:
        heard = reader.read(0, 4 * RATE_HZ)[0]
        assert reader.damage == Damage(len(damaged), Fraction(59 * 1024, RATE_HZ))
    expected = sweep(moments(4, RATE_HZ))
    assert not heard[60 * 1024 : 98 * 1024].any()
    for start, end in ((2000, 58 * 1024), (102 * 1024, 185 * 1024)):
        assert delay(heard[start:end], expected[start:end]) == 0


def test_surround_is_heard_on_two_channels(tmp_path: Path) -> None:
    channels = np.zeros((6, 2 * RATE_HZ), np.float32)
    channels[2] = sweep(moments(2, RATE_HZ))  # the centre channel
    left, right = read(write_sound(tmp_path / "a.mp4", channels, RATE_HZ, codec="aac"), 2)
    assert rms(left - right) < 0.01
    assert rms(left) / rms(channels[2]) == pytest.approx(np.sqrt(0.5), rel=0.05)


def test_nan_and_infinity_are_silent(tmp_path: Path) -> None:
    sound = sweep(moments(2, RATE_HZ))[None].copy()
    sound[0, 1000:1010] = np.nan
    sound[0, 2000] = np.inf
    heard = read(write_sound(tmp_path / "a.mkv", sound, RATE_HZ, codec="pcm_f32le"), 2)
    assert np.isfinite(heard).all()
    assert np.array_equal(heard[0, 3000:], sound[0, 3000:])


@pytest.mark.slow
@pytest.mark.parametrize("drift", [Fraction(0), Fraction(1, 1000)])
def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path: Path, drift: Fraction) -> None:
    peaks = []
    for duration_s in (10, 200):
        sound = np.zeros((1, duration_s * 8000), np.float32)
        path = write_sound(tmp_path / f"{duration_s}.mkv", sound, 8000, retime=lambda t: t * (1 + drift))
        track = probe_sound(path)
        with AudioReader(path, track, Fraction(0)) as reader:
            tracemalloc.start()
            for first in range(0, duration_s * RATE_HZ, 24_000):
                reader.read(first, 24_000)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_file_without_the_track_is_refused(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mkv", np.zeros((1, 4800), np.float32), RATE_HZ)
    track = probe_sound(path)
    other = AudioTrack(7, track.codec, track.rate_hz, track.channels, track.runs)
    with pytest.raises(InputError, match="no usable stream 7"):
        AudioReader(path, other, Fraction(0))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    track = probe_sound(write_sound(tmp_path / "a.mkv", np.zeros((1, 4800), np.float32), RATE_HZ))
    with pytest.raises(InputError):
        AudioReader(tmp_path / "gone.mkv", track, Fraction(0))


def test_huge_samples_are_clipped(tmp_path: Path) -> None:
    wild = np.zeros((1, RATE_HZ), np.float32)
    wild[0, 1000:2000], wild[0, 3000:4000] = 1e30, np.inf
    path = write_sound(tmp_path / "a.mkv", wild, RATE_HZ, codec="pcm_f32le")
    with AudioReader(path, probe_sound(path), Fraction(0)) as reader:
        block = reader.read(0, RATE_HZ)
    assert np.isfinite(block).all()
    assert np.abs(block).max() <= 4
