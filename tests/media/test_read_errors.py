"""A disk that fails: what is read again is used, and what cannot be read is told. Nothing ends early in silence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest

from owtmix.base import asked_again
from owtmix.base.errors import InputError, ShortageError
from owtmix.media.audio_reader import AudioReader
from owtmix.media.probe import probe
from owtmix.media.video_reader import VideoReader
from owtmix.plan.model import SAMPLE_RATE_HZ
from tests.media.pictures import number_of, steady, write_film
from tests.media.sounds import moments, probe_sound, sweep, write_sound

FRAMES: Final = 250
FAILING_FROM: Final = (1, 2, 3, 5)
"""Readings of a file; the first ones are those of its beginning."""

UNREADABLE: Final = r"^cannot be read: Input/output error$"

Fail = Callable[[int, int, int], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Has readings of files fail, with an error, from a number on, and so many of them."""
    read = os.pread
    monkeypatch.setattr(asked_again, "PAUSES_S", (0.0, 0.0, 0.0))

    def fail_from(number: int, first: int, count: int) -> None:
        done = 0

        def failing(file: int, size: int, at: int) -> bytes:
            nonlocal done
            done += 1
            if first <= done < first + count:
                raise OSError(number, os.strerror(number))
            return read(file, size, at)

        monkeypatch.setattr("owtmix.media.file_view.os.pread", failing)

    return fail_from


def pictures(path: Path) -> list[int]:
    """The numbers of the pictures that are shown at each of their times."""
    reader = VideoReader(path, 0)
    found = [reader.frame_at(Fraction(ms, 1000)) for ms in steady(FRAMES)]
    reader.close()
    assert reader.corrupt == 0
    return [number_of(frame.frame) for frame in found if frame]


def film(folder: Path, name: str) -> Path:
    path = write_film(folder / name, steady(FRAMES), options={"crf": "10", "b": "8000000"})
    assert path.stat().st_size > 7 * 32768
    return path


@pytest.mark.parametrize("name", ["film.webm", "film.mp4", "film.mkv"])
@pytest.mark.parametrize("first", FAILING_FROM)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.ESTALE])
def test_a_picture_is_read_again(tmp_path: Path, fail: Fail, name: str, first: int, number: int) -> None:
    path = film(tmp_path, name)
    fail(number, first, 3)
    assert pictures(path) == list(range(FRAMES))


@pytest.mark.parametrize("name", ["film.webm", "film.mp4", "film.mkv"])
@pytest.mark.parametrize("first", FAILING_FROM)
def test_a_picture_that_cannot_be_read_is_told(tmp_path: Path, fail: Fail, name: str, first: int) -> None:
    path = film(tmp_path, name)
    fail(errno.EIO, first, 1 << 30)
    with pytest.raises(InputError, match=UNREADABLE):
        pictures(path)


@pytest.mark.parametrize("name", ["film.webm", "film.mp4"])
def test_a_file_that_becomes_shorter_is_not_taken_for_one_that_ends(tmp_path: Path, name: str) -> None:
    path = film(tmp_path, name)
    reader = VideoReader(path, 0)
    assert reader.frame_at(Fraction(0))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"^cannot be read: it became shorter meanwhile$"):
        reader.frame_at(Fraction(60))
    reader.close()


@pytest.mark.parametrize("name", ["film.webm", "film.mp4"])
def test_memory_that_the_system_refuses_is_no_fault_of_a_file(tmp_path: Path, fail: Fail, name: str) -> None:
    path = film(tmp_path, name)
    fail(errno.ENOMEM, 3, 1 << 30)
    with pytest.raises(ShortageError, match="memory is short"):
        pictures(path)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("sound.webm", "libopus"), ("sound.mp4", "aac"), ("sound.wav", "pcm_s16le"), ("sound.ogg", "libopus")],
)
@pytest.mark.parametrize("first", FAILING_FROM)
def test_a_sound_is_read_again_or_told(tmp_path: Path, fail: Fail, name: str, codec: str, first: int) -> None:
    path = write_sound(tmp_path / name, sweep(moments(30, SAMPLE_RATE_HZ))[None], SAMPLE_RATE_HZ, codec=codec)
    track, count = probe_sound(path), 30 * SAMPLE_RATE_HZ

    def heard() -> bytes:
        with AudioReader(path, track, Fraction(0)) as reader:
            return reader.read(0, count).tobytes()

    whole = heard()
    fail(errno.EIO, first, 3)
    assert heard() == whole
    fail(errno.EIO, first, 1 << 30)
    with pytest.raises(InputError, match=UNREADABLE):
        heard()


@pytest.mark.parametrize("name", ["film.webm", "film.mp4", "film.mkv"])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_what_cannot_be_read_is_not_measured_as_if_it_ended(tmp_path: Path, fail: Fail, name: str, first: int) -> None:
    path = film(tmp_path, name)
    whole = probe(path)
    fail(errno.EIO, first, 3)
    assert probe(path) == whole
    fail(errno.EIO, first, 1 << 30)
    with pytest.raises(InputError, match=UNREADABLE):
        probe(path)
