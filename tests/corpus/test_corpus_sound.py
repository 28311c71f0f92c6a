"""Decoded sound of the corpus and of generated files: timing and level."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.packet import Packet

from owtmix.base.errors import InputError
from owtmix.media.audio_reader import AudioReader
from owtmix.media.probe import probe
from tests.corpus import checks, reference, rooms
from tests.corpus.reference import RATE_HZ, Wave
from tests.corpus.row import Row, Sound, Video
from tests.corpus.table import USABLE, needs_media
from tests.e2e.measure import level_db
from tests.media.sounds import moments, sweep, tone, write_sound
from tests.support.people import Take, record

PLACE_TOLERANCE_S: Final = 0.005
LEVEL_TOLERANCE_DB: Final = 0.5
LIKENESS: Final = 0.97
"""Least correlation with the reference decoder: resampling and rounding to a millisecond reduce it."""

LONG_S: Final = 60
SEARCH: Final = RATE_HZ // 10


def read(path: Path) -> Wave:
    """All of a file's sound from its first sample on, the mean of both channels."""
    track = probe(path).sounds[0]
    assert track
    with AudioReader(path, track, -track.span.start) as reader:
        wave: Wave = reader.read(0, int(track.span.duration * RATE_HZ)).mean(axis=0)
        return wave


def place_s(wave: Wave, expected: Wave) -> tuple[float, float]:
    """Position of ``expected`` in ``wave`` in seconds, and their correlation there, up to 1."""
    padded = np.pad(wave, SEARCH)
    size = 1 << (len(padded) + len(expected)).bit_length()
    match = np.fft.irfft(np.fft.rfft(padded, size) * np.fft.rfft(expected, size).conj(), size)[: 2 * SEARCH]
    best = int(match.argmax())
    there = padded[best : best + len(expected)]
    likeness = match[best] / (np.linalg.norm(there) * np.linalg.norm(expected[: len(there)]))
    return (best - SEARCH) / RATE_HZ, float(likeness)


HEARD: Final = [row for row in USABLE if row.sound and row.sound.steady_s < row.sound.end_s < LONG_S]


@needs_media
@pytest.mark.parametrize("row", HEARD, ids=lambda row: row.name)
def test_sound_is_read_as_it_was_recorded(row: Row) -> None:
    """Compared with an independent decoder that puts every frame at its timestamp."""
    sound = row.sound
    assert sound
    expected, start_s = reference.read_wave(row.path, sound.index)
    wave = read(row.path)
    steady = max(0.0, sound.steady_s - start_s)
    expected = expected[round(steady * RATE_HZ) :]
    if np.abs(expected).max() < 0.001:
        assert np.abs(wave).max() < 0.001
        return
    wave = wave[round((steady - float(probe_start(row)) + start_s) * RATE_HZ) :][: len(expected)]
    at_s, likeness = place_s(wave, expected)
    assert abs(at_s) < PLACE_TOLERANCE_S
    assert likeness > LIKENESS
    if sound.channels <= 2:
        louder = 20 * np.log10(np.sqrt((wave**2).mean()) / np.sqrt((expected[: len(wave)] ** 2).mean()))
        assert abs(louder) < LEVEL_TOLERANCE_DB


def probe_start(row: Row) -> Fraction:
    track = probe(row.path).sounds[0]
    assert track
    return track.span.start


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 32000, 88200, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_number_of_channels(tmp_path: Path, rate_hz: int, channels: int) -> None:
    expected = sweep(moments(3, rate_hz))
    path = write_sound(tmp_path / "sound.wav", np.repeat(expected[None], channels, axis=0), rate_hz)
    upsampled = sweep(moments(3, RATE_HZ))
    at_s, likeness = place_s(read(path), upsampled)
    assert abs(at_s) < 0.0005
    assert likeness > 0.99


def test_sound_without_a_sample_rate_is_ignored(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.mp4", sweep(moments(1, RATE_HZ))[None], RATE_HZ, codec="aac")
    data = bytearray(path.read_bytes())
    data[data.index(b"esds")] = 0
    time_scale = data.index(b"mdhd") + 16
    data[time_scale : time_scale + 4] = bytes(4)
    rate = data.index(b"mp4a", data.index(b"stsd")) + 28
    data[rate : rate + 4] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(InputError, match="no picture or sound"):
        probe(path)


SBR_DELAY_S: Final = 962 / RATE_HZ
"""Delay of an HE-AAC decoder; real encoders compensate for it in the edit list."""


def he_aac(path: Path) -> Path:
    """A sweep in AAC at 24 kHz whose header signals HE-AAC, so that a decoder doubles the rate."""
    write_sound(path, sweep(moments(3, RATE_HZ // 2))[None], RATE_HZ // 2, codec="aac")
    with av.open(str(path)) as file:
        plain = file.streams.audio[0].codec_context.extradata
    assert plain
    # Object type 5 (SBR), 24 kHz, mono, doubled to 48 kHz, of object type 2 (AAC LC).
    doubled = f"{5:05b}{6:04b}{1:04b}{3:04b}{2:05b}".ljust(8 * len(plain), "0")
    data = path.read_bytes()
    assert data.count(plain) == 1
    path.write_bytes(data.replace(plain, int(doubled, 2).to_bytes(len(plain), "big")))
    return path


def test_sound_whose_decoder_doubles_the_rate_keeps_time_and_pitch(tmp_path: Path) -> None:
    path = he_aac(tmp_path / "sound.mp4")
    track = probe(path).sounds[0]
    assert track
    assert (track.codec, track.rate_hz) == ("aac", RATE_HZ)
    assert float(track.span.duration) == pytest.approx(3, abs=0.001)
    at_s, likeness = place_s(read(path), sweep(moments(3, RATE_HZ)))
    assert abs(at_s - SBR_DELAY_S) < 0.0005
    assert likeness > 0.99


def mp3(channels: int, rate_hz: int, hz: float, seconds: float) -> tuple[list[Packet[Any]], AudioStream]:
    """A tone as MP3 packets; channels and rate may change between packets."""
    with av.open("/dev/null", "w", format="mp3") as aside:
        stream = aside.add_stream("libmp3lame", rate=rate_hz, layout="mono" if channels == 1 else "stereo")
        assert isinstance(stream, AudioStream)
        wave = np.repeat(tone(moments(seconds, rate_hz), hz, 0.25)[None], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), "fltp", stream.codec_context.layout.name)
        frame.sample_rate, frame.pts = rate_hz, 0
        return [*stream.encode(frame), *stream.encode(None)], stream


def test_a_change_of_channels_and_rate_inside_a_file(tmp_path: Path) -> None:
    """Mono at 44.1 kHz, then stereo at 44.1 kHz, then stereo at 48 kHz: each for two seconds, each at its own pitch."""
    parts = [(1, 44_100, 500.0), (2, 44_100, 700.0), (2, 48_000, 900.0)]
    path = tmp_path / "changing.mp4"
    with av.open(str(path), "w", options={"movie_timescale": "90000"}) as file:
        written = file.add_stream("libmp3lame", rate=44_100, layout="mono")
        file.start_encoding()
        assert written.time_base
        for number, (channels, rate_hz, hz) in enumerate(parts):
            packets, _ = mp3(channels, rate_hz, hz, 2)
            for i, packet in enumerate(packets):
                packet.stream = written
                packet.time_base = written.time_base
                packet.pts = packet.dts = round((2 * number + Fraction(1152 * i, rate_hz)) / written.time_base)
                if Fraction(1152 * (i + 1), rate_hz) <= 2:
                    file.mux(packet)
    wave = read(path)
    for number, (_, _, hz) in enumerate(parts):
        assert level_db(wave, round(hz), 2 * number + 0.3, 2 * number + 1.7) == pytest.approx(-15.05, abs=0.5)
        others = {other for _, _, other in parts} - {hz}
        assert all(level_db(wave, round(other), 2 * number + 0.3, 2 * number + 1.7) < -50 for other in others)


def test_sound_outlasts_the_picture_and_the_picture_the_sound(tmp_path: Path) -> None:
    """The tile shows the placeholder from 0.5 s after the last picture; a picture without sound is shown."""
    files = tmp_path / "made"
    files.mkdir()
    longer, shorter = files / "longer.mp4", files / "shorter.webm"
    frames_ms = tuple(range(0, 2000, 100))
    record(Take("x_1", 0, 5000, (205, 45, 45), 500, (300, 4000), frames_ms=frames_ms), longer)
    record(
        Take("x_1", 0, 2000, (50, 75, 205), 800, (300, 1000), frames_ms=tuple(range(0, 5000, 100)), container="webm"),
        shorter,
    )
    rows = [
        Row(str(longer), "", Video("h264", ("320x180",), 0, 1.9, 2, 20), Sound("aac", 48000, 2, 0, 5, index=1)),
        Row(str(shorter), "", Video("vp8", ("320x180",), 0, 4.9, 5, 50), Sound("opus", 48000, 2, 0, 2, index=1)),
    ]
    room = rooms.compose(rooms.invite(rows, limit_s=60), (), tmp_path)
    problems = [
        problem for i, guest in enumerate(room.guests, 1) for problem in checks.Tile(guest, room, rooms.tile(i)).check()
    ]
    lags = [checks.sound_lag_s(guest, room) for guest in room.guests]
    assert not [*problems, *checks.check_neighbour(room)], "\n".join(problems)
    assert all(lag is not None and abs(lag) < PLACE_TOLERANCE_S for lag in lags)
