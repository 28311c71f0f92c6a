"""Probing a partially downloaded recording gives the same as probing the whole file."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from owtmix.base.errors import InputError
from owtmix.inputs.partial_mp4 import PartialMp4
from owtmix.media.partial_file import MissingBytesError, PartialFile
from owtmix.media.probe import probe
from owtmix.plan.media_info import Probe
from tests.conftest import SHARED
from tests.media.pictures import steady, write_film
from tests.media.sounds import moments, sweep, write_sound
from tests.support.people import person, record

BLOCK_BYTES: Final = 4096
"""Small enough that most of a small file is not fetched."""


def partial_of(path: Path, folder: Path, block_bytes: int = BLOCK_BYTES) -> PartialMp4:
    """A partial download of a local file."""

    def read(start: int, length: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    return PartialMp4(folder / f"{path.name}.excerpt", path.stat().st_size, read, block_bytes)


def outcome(measure: Callable[[], Probe]) -> Probe | str:
    try:
        return measure()
    except InputError as error:
        return str(error)


def measured(partial_mp4: PartialMp4) -> Probe | str | None:
    """The probe of as many parts as needed; None if the whole file is needed."""
    while isinstance(found := _tried(partial_mp4), MissingBytesError):
        at = found.at
        if at is None:
            return None
        assert not any(start <= at < end for start, end in partial_mp4.parts)
        partial_mp4.fetch(at, 1)
    return found


def _tried(partial_mp4: PartialMp4) -> Probe | str | MissingBytesError:
    try:
        return outcome(lambda: probe(partial_mp4.path, parts=partial_mp4.parts))
    except MissingBytesError as error:
        return error


def write_person(path: Path) -> Path:
    record(person(0, 0, 20_000, picture_from_ms=300, level_db=-20), path)
    return path


FILES: Final[dict[str, Callable[[Path], Path]]] = {
    "picture and sound": lambda folder: write_person(folder / "a.mp4"),
    "tables first": lambda folder: write_film(
        folder / "a.mp4", steady(250, 25), gop=250, options={"bf": "3"}, muxing={"movflags": "faststart"}
    ),
    "with gaps": lambda folder: write_film(
        folder / "a.mp4", (*range(0, 9000, 40), *range(12_000, 15_000, 40)), gop=100
    ),
    "an edit list": lambda folder: write_film(folder / "a.mp4", steady(250, 25, first_ms=-500), gop=100),
    "sound alone": lambda folder: write_sound(
        folder / "a.mp4", sweep(moments(30, 44_100))[None], 44_100, codec="aac", damaged=range(60, 100)
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_parts_are_probed_like_the_whole_file(tmp_path: Path, kind: str) -> None:
    path = FILES[kind](tmp_path)
    partial_mp4 = partial_of(path, tmp_path)
    assert partial_mp4.fetch_tables()
    assert measured(partial_mp4) == probe(path)
    assert partial_mp4.held_bytes < path.stat().st_size / 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared: no real recordings")
def test_parts_of_real_recordings_are_probed_like_whole_files(tmp_path: Path) -> None:
    shares, others = [], []
    for path in sorted((SHARED / "media").glob("*.m[4p]*")):
        partial_mp4 = partial_of(path, tmp_path, 4 * BLOCK_BYTES)
        if partial_mp4.fetch_tables() and (found := measured(partial_mp4)):
            shares.append(partial_mp4.held_bytes / partial_mp4.size)
            if found != outcome(partial(probe, path)):
                others.append(path.name)
    assert not others
    assert len(shares) > 20
    assert min(shares) < 0.1


def test_sound_without_fixed_packets_needs_the_whole_file(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mp4", sweep(moments(3, 48_000))[None], 48_000, codec="libopus")
    partial_mp4 = partial_of(path, tmp_path)
    assert partial_mp4.fetch_tables()
    assert measured(partial_mp4) is None


def test_missing_bytes_are_never_used_as_content(tmp_path: Path) -> None:
    """The first frame is in the missing part."""
    path = write_film(tmp_path / "a.mp4", steady(100), gop=10)
    data = path.read_bytes()
    begins = data.index(b"mdat") + 4
    ends = data.index(b"moov") - 4
    partial_copy = tmp_path / "partial.mp4"
    partial_copy.write_bytes(data[:begins] + bytes(ends - begins) + data[ends:])
    with pytest.raises(MissingBytesError) as raised:
        probe(partial_copy, parts=((0, begins), (ends, len(data))))
    assert raised.value.at is not None
    assert begins <= raised.value.at < ends


def test_a_partial_file_is_read_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with PartialFile(path, ((2, 4), (6, 9))) as file:
        file.seek(2)
        assert (file.read(5), file.tell()) == (b"23", 4)
        file.zero_fill = True
        assert (file.read(5), file.read(5), file.read(5), file.read(5)) == (b"\0\0", b"678", b"\0", b"")
        assert file.seek(-3, 2) == 7
        assert file.seek(1, 1) == 8
        file.check()
        file.zero_fill = False
        file.seek(0)
        assert file.read(1) == b""
        file.seek(2)
        assert file.read(1) == b""
        with pytest.raises(MissingBytesError) as raised:
            file.check()
        assert raised.value.at == 0


def test_probing_wholly_finds_damage_and_else_gives_the_same(tmp_path: Path) -> None:
    path = FILES["sound alone"](tmp_path)
    quick, wholly = probe(path), probe(path, wholly=True)
    assert quick.sounds == wholly.sounds
    assert quick.audio_damage.count == 0
    assert (wholly.audio_damage.count, wholly.audio_damage.first_s) == (40, Fraction(59 * 1024, 44_100))
