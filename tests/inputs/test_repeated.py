"""Recordings that stand twice in the store."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import pytest

from owtmix.base import asked_again
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.inputs import repeated
from owtmix.inputs.repeated import repeated_files
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.index import Recording
from owtmix.plan.media_info import Probe
from owtmix.storage import LocalCopy, LocalStore
from tests.support.changes import CHANGES
from tests.support.plans import ANNA, BEN, sound


def measured(path: Path, *, version: str | None = None, length: int = 10) -> SourceFile:
    size = len(path.read_bytes()) if version else 0
    return SourceFile(path.name, LocalCopy(path, size, size, version), Probe(None, (sound(0, length),), Fraction(0)))


def found(tmp_path: Path, *takes: tuple[StreamId, int, bytes], versions: tuple[str, ...] = ()) -> dict[int, int]:
    recordings, files = [], {}
    for number, (stream, start_s, content) in enumerate(takes):
        path = tmp_path / f"{number}.webm"
        path.write_bytes(content)
        recordings.append(Recording(stream, path.name, Fraction(start_s), None))
        files[number] = measured(path, version=versions[number] if versions else None)
    return repeated_files(recordings, files)


def test_the_same_bytes_of_one_stream_at_the_same_time_count_once(tmp_path: Path) -> None:
    assert found(tmp_path, (ANNA, 0, b"same"), (ANNA, 3, b"same"), (ANNA, 5, b"same")) == {1: 0, 2: 0}


@pytest.mark.parametrize(
    "other",
    [(BEN, 0, b"same"), (ANNA, 10, b"same"), (ANNA, 6, b"same"), (ANNA, 0, b"else")],
    ids=["stream", "time", "more than half", "bytes"],
)
def test_what_differs_counts(tmp_path: Path, other: tuple[StreamId, int, bytes]) -> None:
    assert found(tmp_path, (ANNA, 0, b"same"), other) == {}


def test_two_parts_of_one_file_count_where_the_index_ends_the_first(tmp_path: Path) -> None:
    """A service that splits a visit names the same file again."""
    path = tmp_path / "a.webm"
    path.write_bytes(b"same")
    files = dict.fromkeys(range(2), measured(path))

    def repeats(end_s: int | None, start_s: int) -> bool:
        first = Recording(ANNA, path.name, Fraction(0), None if end_s is None else Fraction(end_s))
        return bool(repeated_files([first, Recording(ANNA, path.name, Fraction(start_s), None)], files))

    assert not repeats(2, 5)
    assert not repeats(2, 2)
    assert not repeats(6, 5), "they have a moment in common"
    assert repeats(6, 3)
    assert not repeats(50, 9), "nothing ends the file before it ends, and next to nothing is at the same time"
    assert repeats(50, 5)
    assert repeats(None, 5)


@pytest.mark.parametrize("ends_s", [(2, None), (None, 2), (2, 8)], ids=str)
def test_of_two_at_the_same_time_the_longer_one_counts(tmp_path: Path, ends_s: tuple[int | None, int | None]) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(b"same")
    files = dict.fromkeys(range(2), measured(path))
    recordings = [Recording(ANNA, path.name, Fraction(0), None if end is None else Fraction(end)) for end in ends_s]
    assert repeated_files(recordings, files) == ({0: 1} if ends_s[0] == 2 else {1: 0})


@pytest.mark.parametrize("order", [*permutations(range(4))], ids=str)
def test_the_order_of_the_index_does_not_matter(tmp_path: Path, order: tuple[int, ...]) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(b"same")
    spans = [(0, 2), (3, 5), (6, 8), (0, None)]
    recordings = [
        Recording(ANNA, path.name, Fraction(spans[n][0]), None if spans[n][1] is None else Fraction(spans[n][1] or 0))
        for n in order
    ]
    whole = order.index(3)
    found = repeated_files(recordings, dict.fromkeys(range(4), measured(path)))
    assert found == {number: whole for number in range(4) if number != whole}


def test_objects_of_a_bucket_are_compared_by_their_versions(tmp_path: Path) -> None:
    takes = (ANNA, 0, b"same"), (ANNA, 0, b"same")
    one, other = f'"{"a" * 32}"', f'"{"b" * 32}"'
    assert found(tmp_path, *takes, versions=(one, one)) == {1: 0}
    assert found(tmp_path, *takes, versions=(one, other)) == {}


@pytest.mark.parametrize("version", [f'"{"0" * 32}-1"', f'"{"0" * 32}"', '"any"', ""])
def test_a_version_that_is_no_digest_says_nothing_of_others(tmp_path: Path, version: str) -> None:
    """Some stores have one for all objects."""
    takes = (ANNA, 0, b"one!"), (ANNA, 0, b"two!")
    assert found(tmp_path, *takes, versions=(version, version)) == {}


def test_what_stands_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    recordings, files = [], {}
    for number in range(2):
        path = tmp_path / f"{number}.webm"
        path.write_bytes(b"same")
        recordings.append(Recording(ANNA, path.name, Fraction(0), None))
        files[number] = measured(path)
    (tmp_path / "1.webm").unlink()
    os.mkfifo(tmp_path / "1.webm")
    assert repeated_files(recordings, files) == {}


def test_what_follows_the_last_packet_is_not_compared(tmp_path: Path) -> None:
    """It may be a hole of terabytes."""
    recordings, files = [], {}
    for number in range(2):
        path = tmp_path / f"{number}.webm"
        with path.open("wb") as file:
            file.write(b"same")
            file.truncate(1 << 42)
        source = measured(path)
        assert source.probe
        files[number] = replace(source, probe=replace(source.probe, end_bytes=2_000_000))
        recordings.append(Recording(ANNA, path.name, Fraction(0), None))
    assert repeated_files(recordings, files) == {1: 0}


@pytest.mark.parametrize("first", range(1, 7))
def test_a_disk_that_fails_for_a_moment_makes_nothing_count_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    read, done = os.pread, 0

    def failing(file: int, size: int, at: int) -> bytes:
        nonlocal done
        done += 1
        if done == first:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, size, at)

    monkeypatch.setattr(asked_again, "PAUSES_S", (0.0,))
    monkeypatch.setattr("owtmix.media.file_view.os.pread", failing)
    assert found(tmp_path, (ANNA, 0, b"same"), (ANNA, 0, b"same")) == {1: 0}
    assert done > first


def test_a_file_that_is_named_twice_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "_digest", None)
    path = tmp_path / "a.webm"
    path.write_bytes(b"same")
    recordings = [Recording(ANNA, path.name, Fraction(start), None) for start in (0, 1)]
    assert repeated_files(recordings, dict.fromkeys(range(2), measured(path))) == {1: 0}


def test_many_that_are_alike_are_compared_with_those_of_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file, named many times in a row."""
    path = tmp_path / "a.webm"
    path.write_bytes(b"same")
    compared: list[Fraction] = []

    def start(take: repeated._Take) -> Fraction:
        compared.append(take.start_s)
        return take.start_s

    monkeypatch.setattr(repeated, "_start", start)
    file = measured(path)
    number = 2000
    recordings = [Recording(ANNA, path.name, Fraction(10 * n), None) for n in range(number)]
    assert repeated_files(recordings, dict.fromkeys(range(number), file)) == {}
    assert len(compared) < number * 40


def test_one_that_is_compared_with_many_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    digest = repeated._digest

    def counted(source: SourceFile, *, whole: bool) -> bytes:
        read.append(source.path)
        return digest(source, whole=whole)

    monkeypatch.setattr(repeated, "_digest", counted)
    assert found(tmp_path, *((ANNA, 0, b"%04d" % n) for n in range(50))) == {}
    assert len(read) == 50


def test_files_that_are_only_alike_at_their_ends_are_others(tmp_path: Path) -> None:
    """Sound that begins and ends in silence; silence of a fixed rate has the same bytes."""
    silence = bytes(repeated.COMPARED_BYTES + 1)
    takes = [(ANNA, 0, silence + tone + silence) for tone in (b"high", b"deep", b"high")]
    assert found(tmp_path, *takes) == {2: 0}


def test_a_repeated_file_is_found_among_any_number_that_are_alike(tmp_path: Path) -> None:
    contents = [b"%04d" % n for n in range(200)] + [b"0000"]
    assert found(tmp_path, *((ANNA, 0, content) for content in contents)) == {200: 0}


@pytest.mark.parametrize("falling", [False, True], ids=["rising", "falling"])
def test_the_order_of_many_that_are_alike_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, falling: bool
) -> None:
    compared = []
    repeats = repeated._Take.repeats

    def counted(self: repeated._Take, other: repeated._Take) -> bool:
        compared.append(other)
        return repeats(self, other)

    monkeypatch.setattr(repeated._Take, "repeats", counted)
    path = tmp_path / "a.webm"
    path.write_bytes(b"same")
    number = 1000
    starts = sorted((Fraction(n, 100) for n in range(number)), reverse=falling)
    recordings = [Recording(ANNA, path.name, start_s, None) for start_s in starts]
    assert len(repeated_files(recordings, dict.fromkeys(range(number), measured(path)))) > number - 5
    assert len(compared) < 10 * number


def test_files_that_differ_in_what_was_measured_are_not_read(tmp_path: Path) -> None:
    paths = [tmp_path / "a.webm", tmp_path / "gone.webm"]
    paths[0].write_bytes(b"x")
    files = {
        0: measured(paths[0]),
        1: SourceFile("gone", LocalCopy(paths[1]), Probe(None, (sound(0, 11),), Fraction(0))),
    }
    recordings = [Recording(ANNA, path.name, Fraction(0), None) for path in paths]
    assert repeated_files(recordings, files) == {}
    assert files[0].probe
    assert files[0].probe.span == TimeRange(Fraction(0), Fraction(10))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_one_that_changed_or_vanished_since_it_was_measured_repeats_nothing(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """Whoever reads it next says so."""
    recordings, files = [], {}
    for number in range(2):
        path = tmp_path / f"{number}.webm"
        path.write_bytes(b"same")
        recordings.append(Recording(ANNA, path.name, Fraction(0), None))
        files[number] = SourceFile(path.name, LocalStore(tmp_path).locate(path.name, tmp_path), measured(path).probe)
    assert repeated_files(recordings, files) == {1: 0}
    change(tmp_path / "1.webm")
    assert repeated_files(recordings, files) == {}
