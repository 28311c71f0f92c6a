"""Jobs on cards: nothing here needs one."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owtmix.batch.capacity import ASSUMED, TYPICAL, Room
from owtmix.batch.cards import Cards, CardSlot, Locks, by_load, card_fault
from owtmix.workers.card_holds import PARTS, SESSIONS
from owtmix.workers.card_list import CardList, ListedCard
from owtmix.workers.card_models import CONSUMER_SESSIONS

L4 = "NVIDIA L4"
GEFORCE = "NVIDIA GeForce RTX 4090"
HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


class FileLocks:
    """Locks on files, as a batch of its own would have them."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(exist_ok=True)
        self.files = [folder / str(number) for number in range(count)]

    def take(self) -> int | None:
        for file in self.files:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return descriptor
        return None


class NoLocks:
    """Holds nothing: what a batch alone on its machine is free to do."""

    def take(self) -> int:
        return os.open(os.devnull, os.O_RDONLY)


def free(_name: str, _count: int) -> Locks:
    return NoLocks()


def listed(*names: str) -> CardList:
    return CardList(tuple(ListedCard(f"GPU-{number}", name, 24_000) for number, name in enumerate(names)))


def machine(folder: Path) -> Callable[[str, int], Locks]:
    return lambda name, count: FileLocks(folder / name, count)


def cards(*names: str, share: Fraction | None = HALF, locks: Callable[[str, int], Locks] = free) -> Cards:
    return Cards(listed(*names), cores=64, locks=locks, share=share)


def on(slot: CardSlot | None) -> int | None:
    assert slot is not None
    return slot.card


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("loads", "shares", "usable", "order"),
    [
        ([], [], [], []),
        ([0, 0], [HALF, HALF], [True, True], [0, 1]),
        ([HALF, 0], [HALF, HALF], [True, True], [1, 0]),
        ([0, 0], [HALF, THIRD], [True, True], [1, 0]),  # the stronger of two empty ones
        ([HALF + THIRD, HALF], [HALF, HALF], [True, True], [1]),
        ([1, 1], [HALF, HALF], [True, True], []),
        ([0, 0], [HALF, HALF], [False, True], [1]),
        ([0], [Fraction(2)], [True], [0]),  # an empty card takes any job
        ([THIRD], [Fraction(2)], [True], []),
    ],
)
def test_the_least_loaded_card_is_first(
    loads: list[Fraction], shares: list[Fraction], usable: list[bool], order: list[int]
) -> None:
    assert by_load([Fraction(load) for load in loads], shares, usable) == order


def test_jobs_spread_over_cards_and_wait_when_all_are_full() -> None:
    held = cards(L4, L4)
    slots = [held.place() for _ in range(4)]
    assert [on(slot) for slot in slots] == [0, 1, 0, 1]
    assert held.loads == (HALF * 2, HALF * 2)
    assert held.place() is None
    assert slots[1] is not None
    held.release(slots[1])
    held.release(slots[1])  # a second time changes nothing
    assert held.loads == (HALF * 2, HALF)
    assert on(held.place()) == 1


def test_a_job_sees_its_card_only() -> None:
    slot = cards(L4, L4).place()
    assert slot is not None
    assert (slot.device, slot.environment) == ("auto", {"CUDA_VISIBLE_DEVICES": "GPU-0"})


@pytest.mark.parametrize(
    ("wanted", "device", "card"),
    [
        ("cpu", "cpu", None),
        ("auto", "auto", 0),
        ("cuda", "cuda:0", 0),
        ("cuda:1", "cuda:0", 1),
        ("cuda:7", "cuda:7", None),
    ],
)
def test_a_job_may_ask_for_a_device(wanted: str, device: str, card: int | None) -> None:
    slot = cards(L4, L4).place(wanted)
    assert slot is not None
    assert (slot.device, slot.card) == (device, card)


def test_without_cards_all_runs_on_the_cpu() -> None:
    held = Cards(CardList((), "there is none"), 2, free)
    slots = [held.place() for _ in range(100)]
    assert {slot and slot.device for slot in slots} == {"cpu"}
    assert list(held.describe()) == ["no card: there is none"]


def test_the_share_of_a_job_is_what_the_model_says() -> None:
    held = cards(L4, share=None)
    slot = held.place(room=Room(25, stream_px=1920 * 1080))
    assert slot is not None
    assert slot.share == Fraction(1, 6)  # by memory
    smaller = held.place()
    assert smaller is not None
    assert smaller.share < slot.share


def test_models_that_are_not_known_are_named() -> None:
    lines = list(cards(L4, "NVIDIA Z1", share=None).describe())
    assert "not known" not in lines[0]
    assert "its model is not known" in lines[1]


def test_larger_rooms_take_more_of_a_card() -> None:
    rooms = {"small": Room(1), "large": Room(30, stream_px=1920 * 1080)}
    of = Cards(listed(L4), cores=64, locks=free, rooms=rooms)
    slots = [of.place(None, of.room_of(name)) for name in ("small", "large")]
    assert slots[0]
    assert slots[1]
    assert slots[0].share < slots[1].share
    assert of.room_of("unknown") == TYPICAL


def test_cards_that_are_slower_than_the_cores_are_told() -> None:
    assert "--gpus 0" in list(Cards(listed("Tesla T4"), 64, free).describe())[-1]
    assert "--gpus 0" not in "".join(Cards(listed("NVIDIA L4", "NVIDIA L4"), 8, free).describe())


def test_sessions_are_held_before_they_are_tried_and_shared_by_batches(tmp_path: Path) -> None:
    first, second = (cards(GEFORCE, GEFORCE, share=Fraction(1, PARTS), locks=machine(tmp_path)) for _ in range(2))
    slots = [first.place() for _ in range(5)] + [second.place() for _ in range(5)]
    assert sum(slot is not None for slot in slots) == CONSUMER_SESSIONS
    assert slots[0] is not None
    first.release(slots[0])
    assert on(second.place()) is not None


def test_a_card_is_shared_by_batches(tmp_path: Path) -> None:
    first, second = (cards(L4, share=THIRD, locks=machine(tmp_path)) for _ in range(2))
    slots = [first.place(), second.place(), first.place()]
    assert None not in slots
    assert second.place() is None
    assert first.loads == (THIRD * 2,)


def test_what_a_job_holds_lasts_as_long_as_it_has_copies(tmp_path: Path) -> None:
    held = cards(L4, share=Fraction(1), locks=machine(tmp_path))
    slot = held.place()
    assert slot is not None
    copies = [os.dup(descriptor) for descriptor in slot.descriptors]
    held.release(slot)
    assert held.place() is None  # the job has not ended yet
    for copy in copies:
        os.close(copy)
    assert on(held.place()) == 0


def test_a_card_that_locks_refuse_holds_nothing_else(tmp_path: Path) -> None:
    held = cards(GEFORCE, share=Fraction(1), locks=machine(tmp_path))
    other = FileLocks(tmp_path / "card-GPU-0", PARTS).take()
    before = open_files()
    assert held.place() is None
    assert open_files() == before
    assert held.loads == (Fraction(0),)
    assert other is not None
    os.close(other)


class NoFolder:
    """The folder of the locks is gone."""

    def take(self) -> int | None:
        raise OSError(errno.ENOENT, "it is gone")


def test_without_a_folder_for_locks_a_batch_counts_for_itself() -> None:
    held = cards(GEFORCE, L4, share=Fraction(1, 20), locks=lambda _name, _count: NoFolder())
    slots = [held.place() for _ in range(30)]
    assert sum(on(slot) == 0 for slot in slots if slot) == CONSUMER_SESSIONS
    assert sum(on(slot) == 1 for slot in slots if slot) == 20


def test_measured_rates_decide() -> None:
    slot = Cards(listed(L4), 64, free, rates={"L4": replace(ASSUMED, alone=1000)}).place()
    assert slot is not None
    assert slot.share == 1


GOOD = {"device": {"composed_on": ["cuda:0"], "encoder": "h264_nvenc", "why": "L4 composes and encodes"}}
PARTLY = {"device": {"composed_on": ["cpu", "cuda:0"], "encoder": "libx264", "why": "L4 composes and encodes"}}
BROKEN = {"device": {"composed_on": ["cpu"], "encoder": "libx264", "why": "L4 composes another frame than the CPU"}}


@pytest.mark.parametrize(
    ("status", "report", "fault"),
    [
        (0, GOOD, ""),
        (0, PARTLY, "parts of the picture had to be composed on the CPU"),
        (0, BROKEN, "L4 composes another frame than the CPU"),
        (0, {"device": {"composed_on": [], "why": ""}}, None),  # all chunks were there
        (0, {"device": {"composed_on": ["cpu"]}}, "it composed nothing"),
        (0, {}, None),
        (0, {"device": 5}, None),
        (0, None, None),
        (2, None, None),
        (3, None, None),
        (4, None, "jobs on it failed"),
        (-9, None, "jobs on it failed"),
        (130, None, None),
        (None, None, None),
    ],
)
def test_what_a_card_did_wrong(status: int | None, report: dict[str, Any] | None, fault: str | None) -> None:
    assert card_fault(status, report) == fault


def end(held: Cards, report: dict[str, Any], device: str | None = None) -> str | None:
    slot = held.place(device)
    assert slot is not None
    said = held.judge(slot, 0, report)
    held.release(slot)
    return said


def test_a_card_that_fails_two_jobs_in_a_row_is_taken_out() -> None:
    held = cards(L4, L4)
    assert [end(held, report, "cuda:0") for report in (BROKEN, GOOD, BROKEN)] == [None] * 3
    said = end(held, BROKEN, "cuda:0")
    assert said == "NVIDIA L4 (GPU-0) is not used any more: L4 composes another frame than the CPU"
    assert held.out == {0: said}
    assert on(held.place()) == 1
    assert end(held, BROKEN, "cuda:1") is None
    assert end(held, BROKEN, "cuda:1") is not None
    slot = held.place()
    assert slot is not None
    assert (slot.device, slot.card) == ("cpu", None)


steps = st.lists(st.one_of(st.sampled_from((None, "cuda", "cuda:1", "cpu")), st.integers(0, 30)), max_size=60)
rooms = st.builds(Room, streams=st.integers(0, 40), output_px=st.sampled_from((230_400, 921_600, 2_073_600)))


LIMITED = frozenset({GEFORCE, "Z"})


class Night:
    """Jobs on cards, and what must hold of them at any time."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.running: list[CardSlot] = []
        self.cards = Cards(listed(*names), 32, lambda name, _count: self if name == SESSIONS else NoLocks())

    def take(self) -> int | None:
        """A session."""
        return os.open(os.devnull, os.O_RDONLY) if self.sessions < CONSUMER_SESSIONS else None

    @property
    def sessions(self) -> int:
        return sum(slot.card is not None and self.names[slot.card] in LIMITED for slot in self.running)

    def begin(self, device: str | None, room: Room) -> None:
        before = self.cards.loads
        slot = self.cards.place(device, room)
        if slot is None:
            return
        self.running.append(slot)
        if slot.card is not None and device in {None, "cuda"}:
            full = [n for n, name in enumerate(self.names) if name in LIMITED] if self.sessions == 8 else []
            others = [n for n, load in enumerate(before) if not load and n not in full]
            assert before[slot.card] == 0 or not others  # the least loaded first

    def end(self, number: int) -> None:
        if self.running:
            self.cards.release(self.running.pop(number % len(self.running)))

    def check(self) -> None:
        assert self.sessions <= CONSUMER_SESSIONS
        for number, load in enumerate(self.cards.loads):
            shares = [slot.share for slot in self.running if slot.card == number]
            assert load == sum(shares, Fraction(0))
            assert load <= 1 or len(shares) == 1


@settings(max_examples=50)
@given(st.lists(st.sampled_from((L4, GEFORCE, "NVIDIA H100", "Z")), min_size=1, max_size=4), steps, st.data())
def test_no_card_is_beyond_its_capacity(names: list[str], plan: list[str | int | None], data: st.DataObject) -> None:
    """Any order of jobs that begin and end."""
    night = Night(names)
    for step in plan:
        if isinstance(step, int):
            night.end(step)
        else:
            night.begin(step, data.draw(rooms))
        night.check()
    while night.running:
        night.end(0)
    assert not any(night.cards.loads)
