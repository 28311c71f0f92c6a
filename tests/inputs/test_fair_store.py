"""Who is at fault when an object cannot be had: it, or the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from owtmix.base.errors import InputError, StoreError
from owtmix.inputs.fair_store import MOST_SILENT, MOST_UNANSWERED, FairStore
from owtmix.storage import LocalCopy
from tests.support.store import FakeStore

SILENT = StoreError("the store is down")
REFUSED = StoreError("the store denies access", of_object="denies it", is_refusal=True)


def ignore(_done: int) -> None:
    """Ignores progress."""


def test_an_object_is_at_fault_while_the_store_gives_others(tmp_path: Path) -> None:
    store = FairStore(FakeStore({"index": 1, "good": 2, "refused": REFUSED, "bad": 3}), tmp_path)
    store.note_answer("index")
    for ask in (lambda: store.locate("refused", tmp_path), lambda: store.read("refused", 9)):
        with pytest.raises(InputError, match=r"^denies it$") as raised:
            ask()
        assert not isinstance(raised.value, StoreError)
    copy = store.locate("bad", tmp_path)
    with pytest.raises(InputError, match="is down") as raised:
        store.fetch("bad", copy, ignore)
    assert not isinstance(raised.value, StoreError)
    assert store.locate("good", tmp_path).size_bytes == 2


def test_the_store_is_at_fault_when_it_does_not_give_what_it_gave_before(tmp_path: Path) -> None:
    fake = FakeStore({"a": 1, "b": 2, "bad": 3})
    store = FairStore(fake, tmp_path)
    copies = {key: store.locate(key, tmp_path) for key in fake.objects}
    fake.objects = dict.fromkeys(fake.objects, SILENT)
    with pytest.raises(StoreError, match="is down"):
        store.fetch("bad", copies["bad"], ignore)


def test_one_of_those_that_it_gave_may_have_gone_bad_itself(tmp_path: Path) -> None:
    fake = FakeStore({"a": 1, "b": 2, "bad": 3})
    store = FairStore(fake, tmp_path)
    for key in ("a", "bad", "b"):
        copy = store.locate(key, tmp_path)
    fake.objects["a"] = SILENT
    with pytest.raises(InputError) as raised:
        store.fetch("bad", copy, ignore)
    assert not isinstance(raised.value, StoreError)


def test_that_something_does_not_exist_is_an_answer(tmp_path: Path) -> None:
    store = FairStore(FakeStore({"refused": REFUSED}), tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        store.locate("none", tmp_path)
    with pytest.raises(InputError, match="denies it"):
        store.locate("refused", tmp_path)
    store.check_answered()


def test_a_store_that_refuses_everything_is_at_fault_at_the_end(tmp_path: Path) -> None:
    store = FairStore(FakeStore(dict.fromkeys(map(str, range(99)), REFUSED)), tmp_path)
    for key in range(99):
        with pytest.raises(InputError, match="denies it"):
            store.locate(str(key), tmp_path)
    with pytest.raises(StoreError, match="the store denies access"):
        store.check_answered()


def test_a_store_that_never_answers_is_not_asked_for_everything(tmp_path: Path) -> None:
    store = FairStore(FakeStore(dict.fromkeys(map(str, range(99)), SILENT)), tmp_path)
    for key in range(MOST_UNANSWERED - 1):
        with pytest.raises(InputError) as raised:
            store.locate(str(key), tmp_path)
        assert not isinstance(raised.value, StoreError)
    with pytest.raises(StoreError):
        store.locate("50", tmp_path)


def test_a_store_that_stops_answering_for_all_else_is_not_asked_for_everything(tmp_path: Path) -> None:
    """It still answers for the index."""
    store = FairStore(FakeStore({"index": 1, **dict.fromkeys(map(str, range(99)), SILENT)}), tmp_path)
    store.note_answer("index")
    for key in range(MOST_SILENT - 1):
        with pytest.raises(InputError) as raised:
            store.locate(str(key), tmp_path)
        assert not isinstance(raised.value, StoreError)
    with pytest.raises(StoreError, match="is down"):
        store.locate("50", tmp_path)


@pytest.mark.parametrize("bad", [SILENT, REFUSED], ids=["silent", "refused"])
def test_many_bad_objects_among_good_ones_are_at_fault_themselves(tmp_path: Path, bad: StoreError) -> None:
    bads = dict.fromkeys(map(str, range(99)), bad)
    store = FairStore(FakeStore({"index": 1, "good": 2, **bads}), tmp_path)
    store.note_answer("index")
    for number, key in enumerate(bads, 1):
        with pytest.raises(InputError) as raised:
            store.locate(key, tmp_path)
        assert not isinstance(raised.value, StoreError)
        if bad is SILENT and number % (MOST_SILENT - 1) == 0:
            store.locate("good", tmp_path)


class CountingParts(FakeStore):
    """Counts the parts that it is asked for."""

    asked = 0

    def read_part(self, key: str, copy: LocalCopy, start: int, length: int) -> bytes | None:
        self.asked += 1
        return super().read_part(key, copy, start, length)


def test_parts_that_never_come_are_not_waited_for_again_and_again(tmp_path: Path) -> None:
    fake = CountingParts({"a": SILENT, "b": b"12"})
    store = FairStore(fake, tmp_path)
    copy = LocalCopy(tmp_path / "a", 2)
    for key in ("a", "a", "b", *["a"] * 99):
        assert store.read_part(key, copy, 0, 1) == (b"1" if key == "b" else None)
    assert fake.asked == 3 + MOST_UNANSWERED


def test_a_part_that_cannot_be_had_is_fetched_with_the_whole(tmp_path: Path) -> None:
    store = FairStore(FakeStore({"a": SILENT}), tmp_path)
    assert store.read_part("a", LocalCopy(tmp_path / "a", 1), 0, 1) is None
