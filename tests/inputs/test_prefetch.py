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
from owtmix.base.io_threads import io_threads
from owtmix.base.time import TimeRange
from owtmix.inputs import prefetch as supplying
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.inputs.prefetch import Stock, Supply, Ware
from owtmix.storage import LocalCopy
from owtmix.workers.pending_files import mark_missing, mark_pending, wait_for_file
from tests.storage.shelf import Shelf, quota

PLENTY = quota(1 << 40)


def stock(shelf: Shelf, folder: Path, quota: DiskBudget = PLENTY) -> Stock:
    return Stock(shelf, [Ware(key, shelf.locate(key, folder)) for key in shelf.objects], quota)


def uses(**ranges: tuple[int, int]) -> dict[int, TimeRange]:
    """From when to when each is needed, in the order of the stock."""
    return {n: TimeRange(Fraction(start), Fraction(end)) for n, (start, end) in enumerate(ranges.values())}


def settle(supply: Supply, *sources: int) -> None:
    """Return when these are ready."""
    while not supply.ready(sources):
        supply.check()
        threading.Event().wait(0.001)


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supplying, "IO_THREADS", 1)


def test_what_is_here_is_ready_without_any_thread(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "own").touch()
    wares = [Ware("a", LocalCopy(tmp_path / "a", 1, 1)), Ware("own", LocalCopy(tmp_path / "own"))]
    before = threading.active_count()
    with Stock(Shelf({}), wares, PLENTY).supply(uses(a=(0, 1), own=(0, 1))) as supply:
        assert supply.ready([0, 1])
        assert supply.missing_bytes == 0
        assert threading.active_count() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "own"]


@pytest.mark.usefixtures("one_at_a_time")
def test_what_is_needed_first_comes_first_and_what_nobody_needs_does_not(tmp_path: Path) -> None:
    shelf = Shelf({"late": 5, "first": 2, "never": 9, "second": 3})
    shelf.hold("late")
    needs = {0: TimeRange(Fraction(7), Fraction(9)), 1: TimeRange(Fraction(0), Fraction(9))}
    needs[3] = TimeRange(Fraction(3), Fraction(4))
    with stock(shelf, tmp_path).supply(needs) as supply:
        settle(supply, 1, 3)
        assert shelf.fetched[:2] == ["first", "second"]
        assert not supply.ready([0, 1])
        assert supply.missing_bytes == 5
        shelf.cancel("late")
        settle(supply, 0)
        assert supply.missing_bytes == 0
    assert shelf.fetched == ["first", "second", "late"]


def test_one_that_vanished_is_told_and_the_others_come(tmp_path: Path) -> None:
    shelf = Shelf({"gone": 2, "there": 3})
    with stock(shelf, tmp_path).supply(uses(gone=(0, 2), there=(1, 2))) as supply:
        settle(supply, 0, 1)
        assert {n: str(error) for n, error in supply.failed().items()} == {0: "does not exist"}
        assert not wait_for_file(tmp_path / "gone", pytest.fail)
        assert wait_for_file(tmp_path / "there", pytest.fail)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_children_wait_for_what_is_promised(tmp_path: Path) -> None:
    shelf = Shelf({"a": 2})
    shelf.hold("a")
    waits = threading.Event()
    with stock(shelf, tmp_path).supply(uses(a=(0, 1))):
        child = threading.Thread(target=wait_for_file, args=(tmp_path / "a", waits.set), daemon=True)
        child.start()
        assert waits.wait(20)
        assert child.is_alive()
        shelf.cancel("a")
        child.join(20)
        assert not child.is_alive()
    assert (tmp_path / "a").exists()


def test_what_a_run_that_was_killed_said_does_not_count(tmp_path: Path) -> None:
    """It was killed when one had just landed, and another had been given up."""
    (tmp_path / "here").write_bytes(b"x")
    (tmp_path / "early").write_bytes(b"x")
    mark_pending(tmp_path / "here")
    mark_missing(tmp_path / "away")
    shelf = Shelf({"here": 1, "away": 2})
    with stock(shelf, tmp_path).supply(uses(here=(0, 1), away=(0, 1))) as supply:
        settle(supply, 0, 1)
        assert wait_for_file(tmp_path / "here", pytest.fail)
        assert wait_for_file(tmp_path / "away", pytest.fail)
        assert not list(tmp_path.glob(".*"))
    mark_pending(tmp_path / "early")
    assert wait_for_file(tmp_path / "early", pytest.fail)


def test_nobody_waits_for_what_a_supply_that_was_closed_did_not_bring(tmp_path: Path) -> None:
    shelf = Shelf({"a": 2})
    shelf.hold("a")
    with stock(shelf, tmp_path).supply(uses(a=(0, 1))):
        pass
    assert wait_for_file(tmp_path / "a", pytest.fail)
    shelf.cancel("a")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("one_at_a_time")
def test_a_store_that_fails_ends_it_all(tmp_path: Path) -> None:
    shelf = Shelf({"bad": 2, "other": 3})
    with stock(shelf, tmp_path).supply(uses(bad=(0, 1), other=(0, 1))) as supply:
        with pytest.raises(StoreError, match="is down"):
            settle(supply, 0)
        assert not supply.failed()
    assert shelf.fetched == ["bad"]


def test_what_nobody_thought_of_ends_it_too(tmp_path: Path) -> None:
    class Odd(Shelf):
        def fetch(self, *_: object) -> None:
            raise LookupError("what is that")

    with (
        stock(Odd({"a": 1}), tmp_path).supply(uses(a=(0, 1))) as supply,
        pytest.raises(RenderError, match="fetching a failed: LookupError: what is that"),
    ):
        settle(supply, 0)


def sizes(folder: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir() if not path.name.startswith(".")}


def test_what_the_output_has_passed_makes_room_for_what_comes(tmp_path: Path) -> None:
    shelf = Shelf({"a": 4, "b": 3, "c": 5, "d": 4})
    needs = uses(a=(0, 10), b=(0, 20), c=(10, 20), d=(20, 30))
    with stock(shelf, tmp_path, quota(9)).supply(needs) as supply:
        settle(supply, 0, 1)
        supply.release(Fraction(9))
        assert not supply.ready([2])
        assert sorted(shelf.fetched) == ["a", "b"]
        supply.release(Fraction(10))
        settle(supply, 2)
        assert sizes(tmp_path) == {"b": 3, "c": 5}
        supply.release(Fraction(20))
        settle(supply, 3)
        # No more is removed than has to be.
        assert sizes(tmp_path) == {"c": 5, "d": 4}
    assert [name for name in shelf.fetched if name > "b"] == ["c", "d"]


def test_what_fits_stays_for_the_next_run(tmp_path: Path) -> None:
    with stock(Shelf({"a": 4, "b": 3}), tmp_path, quota(7)).supply(uses(a=(0, 1), b=(1, 2))) as supply:
        supply.release(Fraction(2))
        settle(supply, 0, 1)
    assert sizes(tmp_path) == {"a": 4, "b": 3}


def test_what_is_here_too_early_does_not_take_the_place_of_what_is_needed_first(tmp_path: Path) -> None:
    (tmp_path / "late").write_bytes(bytes(6))
    shelf = Shelf({"late": 6, "a": 4, "b": 3})
    needs = uses(late=(20, 30), a=(0, 10), b=(5, 10))
    with stock(shelf, tmp_path, quota(8)).supply(needs) as supply:
        settle(supply, 1, 2)
        assert sizes(tmp_path) == {"a": 4, "b": 3}
        supply.release(Fraction(10))
        settle(supply, 0)
        assert sizes(tmp_path) == {"late": 6}


@pytest.mark.parametrize(("quota_bytes", "together_s", "fits"), [(9, 0, True), (8, 0, False), (9, 5, False)])
def test_what_is_needed_at_once_must_fit(tmp_path: Path, quota_bytes: int, together_s: int, *, fits: bool) -> None:
    wares = stock(Shelf({"a": 4, "b": 3, "c": 6}), tmp_path, quota(quota_bytes))
    needs = uses(a=(0, 10), b=(0, 20), c=(10, 20))
    if fits:
        wares.supply(needs, Fraction(together_s)).close()
        return
    with pytest.raises(DestinationError, match=r"needed at once have 0.00 GiB, and storage\.max_inputs_mib in"):
        wares.supply(needs, Fraction(together_s))
    assert not list(tmp_path.iterdir())


def test_what_nobody_needs_any_more_does_not_take_the_place_of_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(bytes(6))
    shelf = Shelf({"old": 6, "a": 4, "b": 5})
    with stock(shelf, tmp_path, quota(8)).supply({1: uses(a=(0, 1))[0], 2: uses(b=(1, 2))[0]}) as supply:
        settle(supply, 1)
    assert not (tmp_path / "old").exists()


def test_the_end_of_a_process_waits_for_no_store() -> None:
    program = (
        "import time\nfrom owtmix.base.io_threads import io_threads\n"
        "with io_threads('x') as some: some.submit(time.sleep, 60)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_what_hands_did_is_told_where_it_is_asked_for() -> None:
    with io_threads("x") as some:
        assert some.map(str, range(9)) == list("012345678")
        failed = some.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            failed.result()
