"""Recordings that arrive: in which order, how much room they need, and what a failure among them does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from owtmix import arrival
from owtmix.arrival import arrive
from owtmix.errors import DestinationError, InputError, StoreError
from owtmix.progress import NOTHING, Silence, Unit
from owtmix.storage import Copy, LocalStore

PLENTY = 1 << 40


class Shelf(LocalStore):
    """Objects by their sizes; one that is asked for in vain has an error instead."""

    def __init__(self, objects: dict[str, int | InputError]) -> None:
        super().__init__(Path("/nowhere"))
        self.objects = objects
        self.fetched: list[str] = []
        self.hold = threading.Event()
        self.hold.set()

    def locate(self, key: str, folder: Path) -> Copy:
        found = self.objects[key]
        if isinstance(found, InputError):
            raise found
        path = folder / key
        return Copy(path, found, path.stat().st_size if path.exists() else 0)

    def fetch(self, key: str, copy: Copy, on_progress: Callable[[int], None]) -> None:
        self.fetched.append(key)
        if key == "late":
            assert self.hold.wait(20)
        if key == "bad":
            raise StoreError("the store is down")
        if key == "gone":
            raise InputError("does not exist")
        copy.path.write_bytes(bytes(copy.size_bytes))
        on_progress(copy.size_bytes)


class Watch(Silence):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Fraction | None, str] | Fraction] = []

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = NOTHING) -> None:
        assert not done
        self.seen.append((name, total, unit))

    def advance(self, done: Fraction) -> None:
        self.seen.append(done)


def test_what_is_here_comes_at_once_and_each_other_as_it_lands(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(bytes(5))
    shelf = Shelf({"late": 7, "here": 5, "none": InputError("does not exist"), "soon": 6, "gone": 1})
    shelf.hold.clear()
    landed: dict[int, Path | InputError] = {}
    for some in arrive(shelf, list(shelf.objects), tmp_path, PLENTY, Silence()):
        landed |= some
        if {1, 3, 4} <= landed.keys():
            assert 0 not in landed or shelf.hold.is_set()
            shelf.hold.set()
    assert {n: path.name for n, path in landed.items() if isinstance(path, Path)} == {0: "late", 1: "here", 3: "soon"}
    assert {n for n, path in landed.items() if isinstance(path, InputError)} == {2, 4}
    assert "here" not in shelf.fetched


def test_the_largest_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "AT_ONCE", 1)
    shelf = Shelf({"a": 1, "b": 3, "c": 2})
    watch = Watch()
    assert len(list(arrive(shelf, ["a", "b", "c"], tmp_path, 6, watch))) > 1
    assert shelf.fetched == ["b", "c", "a"]
    assert watch.seen == [("fetching", 6, "bytes"), 3, 5, 6]


def test_a_store_that_fails_ends_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "AT_ONCE", 1)
    shelf = Shelf({"bad": 9, "other": 1})
    with pytest.raises(StoreError, match="is down"):
        list(arrive(shelf, ["bad", "other"], tmp_path, PLENTY, Silence()))
    assert shelf.fetched == ["bad"]


@pytest.mark.parametrize(("max_bytes", "words"), [(2**30, "storage.max_inputs_mib"), (1 << 70, "free some space")])
def test_what_the_disk_does_not_take_is_not_begun(tmp_path: Path, max_bytes: int, words: str) -> None:
    shelf = Shelf({"a": 1 << 60})
    with pytest.raises(DestinationError, match=words):
        list(arrive(shelf, ["a"], tmp_path, max_bytes, Silence()))
    assert not shelf.fetched
