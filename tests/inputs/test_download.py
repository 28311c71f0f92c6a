"""Recordings that arrive: in which order, what makes room for others, and what a failure among them does."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, InputError, StoreError
from owtmix.base.io_threads import IO_THREADS
from owtmix.base.progress import NoProgress
from owtmix.inputs.disk_budget import disk_budget
from owtmix.inputs.download import download_missing, locate_recordings
from owtmix.inputs.fair_store import FairStore
from owtmix.inputs.source_file import SourceFile
from owtmix.storage import LocalCopy, LocalStore
from tests.support.progress import RecordingProgress
from tests.support.store import UNLIMITED, FakeStore, budget_of, files_of


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_each_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(bytes(5))
    store = FakeStore({"away": 7, "here": 5, "none": InputError("does not exist")})
    away, here, none = locate_recordings(FairStore(store, tmp_path), list(store.objects), tmp_path)
    assert isinstance(away, SourceFile)
    assert isinstance(here, SourceFile)
    assert (away.copy.complete, here.copy.complete, str(none)) == (False, True, "does not exist")


def test_a_name_in_another_normal_form_is_found(tmp_path: Path) -> None:
    composed, decomposed = "Zo\u00eb.webm", "Zoe\u0308.webm"
    for kept, asked in ((composed, decomposed), (decomposed, composed)):
        (found,) = locate_recordings(FairStore(FakeStore({kept: 5}), tmp_path), [asked], tmp_path)
        assert isinstance(found, SourceFile)
        assert found.key == kept


def test_one_that_the_store_refuses_is_a_missing_recording(tmp_path: Path) -> None:
    store = FairStore(FakeStore({"a": 1, "b": StoreError("403", of_object="it is in an archive")}), tmp_path)
    _, refused = locate_recordings(store, ["a", "b"], tmp_path)
    assert str(refused) == "it is in an archive"


def test_a_store_that_cannot_be_used_is_no_missing_recording(tmp_path: Path) -> None:
    store = FairStore(FakeStore(dict.fromkeys("ab", StoreError("it is down"))), tmp_path)
    with pytest.raises(StoreError, match="is down"):
        locate_recordings(store, ["a", "b"], tmp_path)


def test_each_is_yielded_as_it_arrives(tmp_path: Path) -> None:
    store = FakeStore({"late": 7, "soon": 6, "gone": 1})
    store.hold("late")
    arrived: dict[int, InputError | None] = {}
    files = files_of(store, tmp_path)
    for downloaded in download_missing(store, files, files, UNLIMITED, NoProgress()):
        arrived |= downloaded
        if {1, 2} == arrived.keys():
            store.let_go("late")
    assert {n: str(error) for n, error in arrived.items() if error} == {2: "does not exist"}
    assert arrived.keys() == {0, 1, 2}
    assert names(tmp_path) == ["late", "soon"]


def test_the_largest_come_first(tmp_path: Path) -> None:
    """As many as there are threads begin together; each that ends makes the next one begin."""
    assert IO_THREADS == 4
    store = FakeStore({"a": 1, "f": 6, "c": 3, "b": 2, "e": 5, "d": 4})
    store.hold(*store.objects)
    progress = RecordingProgress()
    files = files_of(store, tmp_path)
    arrived: list[int] = []

    def download() -> None:
        for downloaded in download_missing(store, files, files, budget_of(21), progress):
            arrived.extend(downloaded)

    downloading = threading.Thread(target=download, daemon=True)
    downloading.start()
    assert sorted(store.wait_for_fetches(4)) == ["c", "d", "e", "f"]
    store.let_go("f")
    assert store.wait_for_fetches(5)[4:] == ["b"]
    store.let_go("e")
    assert store.wait_for_fetches(6)[4:] == ["b", "a"]
    assert progress.reports == [("fetching", 21, "bytes", 0), 6, 11]
    store.let_go(*store.objects)
    downloading.join(20)
    assert arrived[:2] == [1, 4]
    assert sorted(arrived) == [0, 1, 2, 3, 4, 5]
    assert progress.reports[-1] == 21


def test_a_store_that_fails_ends_it_all(tmp_path: Path) -> None:
    store = FakeStore({"bad": 9, "b": 8, "c": 7, "d": 6, "later": 1})
    store.hold("b", "c", "d")
    files = files_of(store, tmp_path)
    with pytest.raises(StoreError, match="is down"):
        list(download_missing(store, files, files, UNLIMITED, NoProgress()))
    store.let_go("b", "c", "d")
    assert "later" not in store.fetched
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("budget_bytes", "here", "left"),
    [(10, "b", ["a", "b", "c", "d"]), (7, "bc", ["a", "b", "d"]), (4, "b", ["a"])],
    ids=["all fit", "some do not", "one fits"],
)
def test_what_is_here_and_is_needed_last_makes_room(
    tmp_path: Path, budget_bytes: int, here: str, left: list[str]
) -> None:
    store = FakeStore({"d": 1, "b": 2, "c": 3, "a": 4})
    for key in here:
        (tmp_path / key).write_bytes(bytes(2 if key == "b" else 3))
    files = files_of(store, tmp_path)
    missing = {n for n, file in files.items() if file.key not in here}
    for _ in download_missing(store, files, missing, budget_of(budget_bytes), NoProgress()):
        assert sum((tmp_path / name).stat().st_size for name in names(tmp_path)) <= budget_bytes
    assert names(tmp_path) == left
    assert sorted(store.fetched) == sorted(store.objects.keys() - set(here))


def test_what_was_measured_and_is_needed_last_makes_room(tmp_path: Path) -> None:
    """When the last begins, two have been measured. It fits when one of them goes: the one that is needed later."""
    store = FakeStore({"a": 1, "b": 2, "c": 1, "d": 1, "e": 1, "f": 2})
    store.hold("b", "c", "d", "e", "f")
    files = files_of(store, tmp_path)
    for downloaded in download_missing(store, files, files, budget_of(6), NoProgress()):
        assert sum((tmp_path / name).stat().st_size for name in names(tmp_path)) <= 6
        if 0 in downloaded:
            store.let_go("b")
        elif 1 in downloaded:
            assert names(tmp_path) == ["a", "b"]
            store.let_go("c", "d", "e", "f")
    assert names(tmp_path) == ["a", "c", "d", "e", "f"]


@pytest.mark.parametrize(("max_bytes", "words"), [(2**30, "storage.max_inputs_mib"), (1 << 70, "free some space")])
def test_one_that_the_disk_does_not_take_is_not_begun(tmp_path: Path, max_bytes: int, words: str) -> None:
    copies = {0: LocalCopy(tmp_path / "a", 1 << 60), 1: LocalCopy(tmp_path / "b", 5)}
    budget, fitting, reasons = disk_budget(copies, tmp_path, max_bytes)
    assert (fitting, [*reasons]) == ({1: copies[1]}, [0])
    assert words in reasons[0]
    assert budget.limit_bytes >= 5


def test_a_disk_that_takes_none_is_full(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="free some space"):
        disk_budget({0: LocalCopy(tmp_path / "a", 1 << 60), 1: LocalCopy(tmp_path / "b", 1 << 61)}, tmp_path, 1 << 70)


def test_what_is_used_in_its_own_place_needs_no_room(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    copy = LocalStore(tmp_path).locate("a", tmp_path)
    budget, fitting, reasons = disk_budget({0: copy}, tmp_path, 0)
    assert (budget.limit_bytes, fitting, reasons) == (0, {0: copy}, {})


def test_space_can_be_reserved_for_others(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"part")
    free, _, _ = disk_budget({0: LocalCopy(tmp_path / "a", 9, 4)}, tmp_path, 1 << 70)
    assert free.reserving(1 << 20).limit_bytes == free.limit_bytes - (1 << 20)
    assert budget_of(9).reserving(1 << 20).limit_bytes == 9, "the disk has more than the setting allows"
