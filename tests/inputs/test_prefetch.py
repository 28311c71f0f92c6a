"""Recordings that come while others are composed: in the order of need, within what the disk may take."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, RenderError, StoreError
from owtmix.base.io_threads import IO_THREADS, io_threads
from owtmix.base.time import TimeRange
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.inputs.prefetch import SourceSet
from owtmix.inputs.source_file import SourceFile
from owtmix.storage import LocalCopy
from owtmix.workers.pending_files import mark_missing, mark_pending, wait_for_file
from tests.support.store import UNLIMITED, FakeStore, budget_of, source_set, wait_until_ready


def uses(**ranges: tuple[int, int]) -> dict[int, TimeRange]:
    """From when to when each is needed, in the order of the sources."""
    return {n: TimeRange(Fraction(start), Fraction(end)) for n, (start, end) in enumerate(ranges.values())}


def test_what_is_here_is_ready_without_any_thread(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "own").touch()
    files = [SourceFile("a", LocalCopy(tmp_path / "a", 1, 1)), SourceFile("own", LocalCopy(tmp_path / "own"))]
    before = threading.active_count()
    with SourceSet(FakeStore({}), files, UNLIMITED).prefetch(uses(a=(0, 1), own=(0, 1))) as prefetcher:
        assert prefetcher.ready([0, 1])
        assert prefetcher.has_all
        assert prefetcher.missing_bytes == 0
        assert threading.active_count() == before
    assert sizes(tmp_path).keys() == {"a", "own"}


def test_what_is_needed_first_comes_first_and_what_nobody_needs_does_not(tmp_path: Path) -> None:
    """As many as there are threads begin together; each that ends makes the next one begin."""
    assert IO_THREADS == 4
    store = FakeStore({"sixth": 1, "third": 2, "never": 9, "first": 3, "fifth": 4, "second": 5, "fourth": 6})
    store.hold(*store.objects)
    starts = {0: 6, 1: 3, 3: 1, 4: 5, 5: 2, 6: 4}
    needs = {n: TimeRange(Fraction(start), Fraction(9)) for n, start in starts.items()}
    with source_set(store, tmp_path).prefetch(needs) as prefetcher:
        assert not prefetcher.has_all
        assert sorted(store.wait_for_fetches(4)) == ["first", "fourth", "second", "third"]
        assert prefetcher.missing_bytes == 21
        store.let_go("first")
        assert store.wait_for_fetches(5)[4:] == ["fifth"]
        wait_until_ready(prefetcher, 3)
        assert not prefetcher.ready([3, 5])
        assert prefetcher.missing_bytes == 18
        store.let_go("second")
        assert store.wait_for_fetches(6)[4:] == ["fifth", "sixth"]
        store.let_go(*store.objects)
        wait_until_ready(prefetcher, *starts)
        assert prefetcher.missing_bytes == 0
    assert "never" not in store.fetched


def test_one_that_vanished_is_told_and_the_others_come(tmp_path: Path) -> None:
    store = FakeStore({"gone": 2, "there": 3})
    with source_set(store, tmp_path).prefetch(uses(gone=(0, 2), there=(1, 2))) as prefetcher:
        wait_until_ready(prefetcher, 0, 1)
        assert {n: str(error) for n, error in prefetcher.failed().items()} == {0: "does not exist"}
        assert not wait_for_file(tmp_path / "gone", pytest.fail)
        assert wait_for_file(tmp_path / "there", pytest.fail)
    assert sizes(tmp_path).keys() == {"there"}


def test_children_wait_for_what_is_promised(tmp_path: Path) -> None:
    store = FakeStore({"a": 2})
    store.hold("a")
    waits = threading.Event()
    with source_set(store, tmp_path).prefetch(uses(a=(0, 1))):
        child = threading.Thread(target=wait_for_file, args=(tmp_path / "a", waits.set), daemon=True)
        child.start()
        assert waits.wait(20)
        assert child.is_alive()
        store.let_go("a")
        child.join(20)
        assert not child.is_alive()
    assert (tmp_path / "a").exists()


def test_what_a_run_that_was_killed_said_does_not_count(tmp_path: Path) -> None:
    """It was killed when one had just landed, and another had been given up."""
    (tmp_path / "here").write_bytes(b"x")
    mark_pending(tmp_path / "here")
    mark_missing(tmp_path / "away")
    store = FakeStore({"here": 1, "away": 2})
    with source_set(store, tmp_path).prefetch(uses(here=(0, 1), away=(0, 1))) as prefetcher:
        wait_until_ready(prefetcher, 0, 1)
        assert wait_for_file(tmp_path / "here", pytest.fail)
        assert wait_for_file(tmp_path / "away", pytest.fail)
        assert {path.suffix for path in tmp_path.glob(".*")} == {".version"}


def test_a_copy_that_was_changed_is_fetched_again(tmp_path: Path) -> None:
    store = FakeStore({"a": 3})
    with source_set(store, tmp_path).prefetch(uses(a=(0, 1))) as prefetcher:
        wait_until_ready(prefetcher, 0)
    (tmp_path / "a").write_bytes(b"abc")
    with source_set(store, tmp_path).prefetch(uses(a=(0, 1))) as prefetcher:
        wait_until_ready(prefetcher, 0)
        assert (tmp_path / "a").read_bytes() == bytes(3)
    assert store.fetched == ["a", "a"]


def twice(store: FakeStore, folder: Path, budget: DiskBudget = UNLIMITED) -> SourceSet:
    """The objects of ``store`` as sources, and the first of them once more."""
    files = source_set(store, folder).files
    return SourceSet(store, [*files, files[0]], budget)


def test_sources_that_are_one_object_share_one_fetch(tmp_path: Path) -> None:
    store = FakeStore({"a": 2, "b": 1})
    store.hold("a")
    with twice(store, tmp_path).prefetch(uses(a=(0, 1), b=(0, 1), again=(3, 4))) as prefetcher:
        wait_until_ready(prefetcher, 1)
        assert not prefetcher.ready([2])
        assert prefetcher.missing_bytes == 2
        store.let_go("a")
        wait_until_ready(prefetcher, 0, 2)
    assert sorted(store.fetched) == ["a", "b"]


def test_sources_that_are_one_object_vanish_together(tmp_path: Path) -> None:
    with twice(FakeStore({"gone": 2}), tmp_path).prefetch(uses(gone=(0, 1), again=(3, 4))) as prefetcher:
        wait_until_ready(prefetcher, 0, 1)
        assert prefetcher.failed().keys() == {0, 1}


def test_a_file_that_another_source_still_needs_does_not_make_room(tmp_path: Path) -> None:
    store = FakeStore({"a": 2, "b": 2, "c": 2})
    needs = uses(a=(0, 1), b=(0, 5), c=(5, 6), again=(4, 5))
    with twice(store, tmp_path, budget_of(4)).prefetch(needs) as prefetcher:
        wait_until_ready(prefetcher, 0, 1, 3)
        prefetcher.release(Fraction(2))
        assert (tmp_path / "a").exists()
        assert prefetcher.ready([3])
        prefetcher.release(Fraction(5))
        wait_until_ready(prefetcher, 2)
    assert sorted(store.fetched) == ["a", "b", "c"]


def test_nobody_waits_for_what_a_prefetcher_that_was_closed_did_not_fetch(tmp_path: Path) -> None:
    store = FakeStore({"a": 2})
    store.hold("a")
    with source_set(store, tmp_path).prefetch(uses(a=(0, 1))):
        pass
    assert wait_for_file(tmp_path / "a", pytest.fail)
    store.let_go("a")
    assert not list(tmp_path.iterdir())


def test_a_store_that_fails_ends_it_all(tmp_path: Path) -> None:
    store = FakeStore({"bad": 2, "b": 3, "c": 3, "d": 3, "later": 3})
    store.hold("b", "c", "d")
    needs = uses(bad=(0, 1), b=(0, 1), c=(0, 1), d=(0, 1), later=(0, 1))
    with source_set(store, tmp_path).prefetch(needs) as prefetcher:
        with pytest.raises(StoreError, match="is down"):
            wait_until_ready(prefetcher, 0)
        store.let_go("b", "c", "d")
        assert not prefetcher.failed()
    assert "later" not in store.fetched


def test_what_nobody_thought_of_ends_it_too(tmp_path: Path) -> None:
    class Odd(FakeStore):
        def fetch(self, *_: object) -> None:
            raise LookupError("what is that")

    with (
        source_set(Odd({"a": 1}), tmp_path).prefetch(uses(a=(0, 1))) as prefetcher,
        pytest.raises(RenderError, match="fetching a failed: LookupError: what is that"),
    ):
        wait_until_ready(prefetcher, 0)


def sizes(folder: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir() if not path.name.startswith(".")}


def test_what_the_output_has_passed_makes_room_for_what_comes(tmp_path: Path) -> None:
    store = FakeStore({"a": 4, "b": 3, "c": 5, "d": 4})
    needs = uses(a=(0, 10), b=(0, 20), c=(10, 20), d=(20, 30))
    with source_set(store, tmp_path, budget_of(9)).prefetch(needs) as prefetcher:
        wait_until_ready(prefetcher, 0, 1)
        prefetcher.release(Fraction(9))
        assert not prefetcher.ready([2])
        assert sorted(store.fetched) == ["a", "b"]
        prefetcher.release(Fraction(10))
        wait_until_ready(prefetcher, 2)
        assert sizes(tmp_path) == {"b": 3, "c": 5}
        prefetcher.release(Fraction(20))
        wait_until_ready(prefetcher, 3)
        # No more is removed than has to be.
        assert sizes(tmp_path) == {"c": 5, "d": 4}
    assert [name for name in store.fetched if name > "b"] == ["c", "d"]


def test_what_fits_stays_for_the_next_run(tmp_path: Path) -> None:
    with source_set(FakeStore({"a": 4, "b": 3}), tmp_path, budget_of(7)).prefetch(
        uses(a=(0, 1), b=(1, 2))
    ) as prefetcher:
        prefetcher.release(Fraction(2))
        wait_until_ready(prefetcher, 0, 1)
    assert sizes(tmp_path) == {"a": 4, "b": 3}


def test_what_is_here_too_early_does_not_take_the_place_of_what_is_needed_first(tmp_path: Path) -> None:
    (tmp_path / "late").write_bytes(bytes(6))
    store = FakeStore({"late": 6, "a": 4, "b": 3})
    needs = uses(late=(20, 30), a=(0, 10), b=(5, 10))
    with source_set(store, tmp_path, budget_of(8)).prefetch(needs) as prefetcher:
        wait_until_ready(prefetcher, 1, 2)
        assert sizes(tmp_path) == {"a": 4, "b": 3}
        prefetcher.release(Fraction(10))
        wait_until_ready(prefetcher, 0)
        assert sizes(tmp_path) == {"late": 6}


@pytest.mark.parametrize(("budget_bytes", "together_s", "fits"), [(9, 0, True), (8, 0, False), (9, 5, False)])
def test_what_is_needed_at_once_must_fit(tmp_path: Path, budget_bytes: int, together_s: int, *, fits: bool) -> None:
    sources = source_set(FakeStore({"a": 4, "b": 3, "c": 6}), tmp_path, budget_of(budget_bytes))
    needs = uses(a=(0, 10), b=(0, 20), c=(10, 20))
    if fits:
        sources.prefetch(needs, Fraction(together_s)).close()
        return
    with pytest.raises(DestinationError, match=r"needed at once have 0.00 GiB, and storage\.max_inputs_mib in"):
        sources.prefetch(needs, Fraction(together_s))
    assert not list(tmp_path.iterdir())


def test_what_nobody_needs_any_more_does_not_take_the_place_of_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(bytes(6))
    store = FakeStore({"old": 6, "a": 4, "b": 5})
    with source_set(store, tmp_path, budget_of(8)).prefetch({1: uses(a=(0, 1))[0], 2: uses(b=(1, 2))[0]}) as prefetcher:
        wait_until_ready(prefetcher, 1)
    assert not (tmp_path / "old").exists()


def test_the_end_of_a_process_waits_for_no_store() -> None:
    program = (
        "import time\nfrom owtmix.base.io_threads import io_threads\n"
        "with io_threads('x') as threads: threads.submit(time.sleep, 60)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_what_a_thread_returned_is_had_where_it_is_asked_for() -> None:
    with io_threads("x") as threads:
        assert threads.map(str, range(9)) == list("012345678")
        failed = threads.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            failed.result()
