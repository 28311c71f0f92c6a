"""Recordings with a tail that has nothing in it: it is not searched to its end."""

from __future__ import annotations

import io
import os
import shutil
import time
import wave
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from owtmix.media.audio_reader import AudioReader
from owtmix.media.bounded_file import PACKET_BYTES, BoundedFile
from owtmix.media.decode_all import decode_all
from owtmix.media.probe import probe
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import ClockRules
from tests.media.pictures import write_film
from tests.support import people
from tests.support.people import Take

TAIL_BYTES: Final = 60 << 30
SOON_S: Final = 60
"""Searching all of it takes several minutes, measuring it 3 s."""


def test_a_file_ends_where_too_much_was_read_without_a_packet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    with BoundedFile(path, most_unused_bytes=100) as file:
        assert file.read(90) == bytes(90)
        file.note_opened()
        assert file.read(100) == bytes(100)
        assert (file.read(1), file.end_bytes) == (b"", 90)
        file.note_packet(50, 5)
        assert file.read(5000) == bytes(810), "a packet is worth its own bytes and a block"
    with BoundedFile(path, most_unused_bytes=PACKET_BYTES) as file:
        for _ in range(1000):
            assert file.seek(0, io.SEEK_END) == 1000
        assert file.read(1) == b"", "asking for the size costs, too"


def test_a_file_with_a_known_end_has_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    with BoundedFile(path, 300) as file:
        assert file.seek(0, io.SEEK_END) == 300
        file.seek(200)
        assert len(file.read(-1)) == 100
        assert (file.read(1), file.end_bytes) == (b"", None)


def write_wav(path: Path, seconds: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(np.arange(48_000 * seconds, dtype="<i2").tobytes())


@pytest.fixture(params=["webm", "mp4", "wav"])
def recording(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"a.{request.param}"
    if request.param == "wav":
        write_wav(path, 3)
    else:
        people.record(Take("a_1", 0, 3000, people.COLOURS[0], 440, size=(160, 90), container=request.param), path)
    return path


def test_a_sparse_tail_is_measured_and_read_at_once(recording: Path) -> None:
    tailed = recording.with_name(f"tailed-{recording.name}")
    shutil.copy(recording, tailed)
    os.truncate(tailed, TAIL_BYTES)
    began = time.monotonic()
    expected, found = probe(recording), probe(tailed)
    assert (found.video, found.sounds) == (expected.video, expected.sounds)
    if found.end_bytes is not None:
        assert any("ends there: 256 MiB follow without any picture or sound" in flaw for flaw in found.flaws)
        assert recording.stat().st_size <= found.end_bytes < 2 * recording.stat().st_size + (1 << 20)
    samples = []
    for path, measured in ((recording, expected), (tailed, found)):
        if measured.video:
            last = VideoReader(path, measured.video.index, end_bytes=measured.end_bytes)
            assert last.frame_at(measured.video.span.end + 10)
            last.close()
            decode_all(path, measured.video, lambda _: None, measured.end_bytes)
        with AudioReader(path, measured.sounds[0], Fraction(0), measured.end_bytes) as reader:
            samples.append(reader.read(0, 48_000 * 10))
    assert np.array_equal(samples[0], samples[1])
    assert time.monotonic() - began < SOON_S


def test_sound_beyond_the_longest_output_is_not_measured(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 120)
    found = probe(tmp_path / "a.wav", rules=ClockRules(longest_s=Fraction(1)))
    assert found.flaws == ("it is longer than 00:00:01.000: the rest is not measured",)
    assert 1 < found.span.duration < 60


def test_decoding_all_of_a_file_skips_what_is_empty(tmp_path: Path) -> None:
    """A few bytes may claim years."""
    path = write_film(tmp_path / "a.mp4", (0, 40, 80, 36_000_000, 36_000_040))
    found = probe(path).video
    assert found
    told: list[Fraction] = []
    decode_all(path, found, told.append)
    assert 2 <= len(told) < 10
