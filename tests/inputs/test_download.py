"""Recordings that arrive: in which order, what makes room for others, and what a failure among them does."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, InputError, StoreError
from owtmix.base.progress import ZERO, NoProgress, Unit
from owtmix.inputs import download
from owtmix.inputs.disk_budget import disk_budget
from owtmix.inputs.download import download_missing, locate_recordings
from owtmix.inputs.prefetch import Ware
from owtmix.storage import LocalCopy, LocalStore
from tests.storage.shelf import Shelf, quota

PLENTY = quota(1 << 40)


class Watch(NoProgress):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Fraction | None, str] | Fraction] = []

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        assert not done
        self.seen.append((name, total, unit))

    def advance(self, done: Fraction) -> None:
        self.seen.append(done)


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "IO_THREADS", 1)


def missing(shelf: Shelf, folder: Path) -> dict[int, Ware]:
    """All that ``shelf`` has, none of it here."""
    return {n: Ware(key, shelf.locate(key, folder)) for n, key in enumerate(shelf.objects)}


def test_each_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(bytes(5))
    shelf = Shelf({"away": 7, "here": 5, "none": InputError("does not exist")})
    away, here, none = locate_recordings(shelf, list(shelf.objects), tmp_path)
    assert isinstance(away, LocalCopy)
    assert isinstance(here, LocalCopy)
    assert (away.complete, here.complete, str(none)) == (False, True, "does not exist")


def test_a_store_that_cannot_be_used_is_no_missing_recording(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is down"):
        locate_recordings(Shelf({"a": 1, "b": StoreError("it is down")}), ["a", "b"], tmp_path)


def test_each_comes_as_it_lands(tmp_path: Path) -> None:
    shelf = Shelf({"late": 7, "soon": 6, "gone": 1})
    shelf.hold("late")
    landed: dict[int, InputError | None] = {}
    wares = missing(shelf, tmp_path)
    for some in download_missing(shelf, wares, wares, PLENTY, NoProgress()):
        landed |= some
        if {1, 2} <= landed.keys():
            assert 0 not in landed or not shelf.held
            shelf.cancel("late")
    assert {n: str(error) for n, error in landed.items() if error} == {2: "does not exist"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "soon"]


@pytest.mark.usefixtures("one_at_a_time")
def test_the_largest_come_first(tmp_path: Path) -> None:
    shelf = Shelf({"a": 1, "b": 3, "c": 2})
    watch = Watch()
    wares = missing(shelf, tmp_path)
    assert len(list(download_missing(shelf, wares, wares, quota(6), watch))) > 1
    assert shelf.fetched == ["b", "c", "a"]
    assert watch.seen == [("fetching", 6, "bytes"), 3, 5, 6]


@pytest.mark.usefixtures("one_at_a_time")
def test_a_store_that_fails_ends_it_all(tmp_path: Path) -> None:
    shelf = Shelf({"bad": 9, "other": 1})
    wares = missing(shelf, tmp_path)
    with pytest.raises(StoreError, match="is down"):
        list(download_missing(shelf, wares, wares, PLENTY, NoProgress()))
    assert shelf.fetched == ["bad"]


@pytest.mark.usefixtures("one_at_a_time")
@pytest.mark.parametrize(
    ("quota_bytes", "left"),
    [(10, ["a", "b", "c", "d"]), (7, ["a", "b", "d"]), (4, ["a"])],
    ids=["all fit", "some do not", "one fits"],
)
def test_what_was_measured_and_is_needed_last_makes_room(tmp_path: Path, quota_bytes: int, left: list[str]) -> None:
    (tmp_path / "b").write_bytes(bytes(2))
    shelf = Shelf({"d": 1, "b": 2, "c": 3, "a": 4})
    wares = missing(shelf, tmp_path)
    for _ in download_missing(shelf, wares, {0, 2, 3}, quota(quota_bytes), NoProgress()):
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= quota_bytes
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert sorted(shelf.fetched) == ["a", "c", "d"]


@pytest.mark.parametrize(("max_bytes", "words"), [(2**30, "storage.max_inputs_mib"), (1 << 70, "free some space")])
def test_one_that_the_disk_does_not_take_is_not_begun(tmp_path: Path, max_bytes: int, words: str) -> None:
    with pytest.raises(DestinationError, match=words):
        disk_budget([LocalCopy(tmp_path / "a", 1 << 60)], tmp_path, max_bytes)


def test_what_is_used_in_its_own_place_needs_no_room(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    copy = LocalStore(tmp_path).locate("a", tmp_path)
    assert disk_budget([copy], tmp_path, 0).limit_bytes == 0
