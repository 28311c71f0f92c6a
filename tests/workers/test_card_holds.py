"""What a job holds of the cards of a machine; the cards are names, the locks are files."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from owtmix.workers.card_holds import (
    MOST_SESSIONS,
    OWN_PARTS,
    PARTS,
    SESSIONS,
    CardHolds,
    may_need_session,
    parts_of,
)
from owtmix.workers.card_list import ListedCard
from owtmix.workers.card_models import CONSUMER_SESSIONS
from owtmix.workers.places import Places

Locks = Callable[[int, str], Places]
CARDS: Final = tuple(ListedCard(f"GPU-{number}", "NVIDIA L4", 24_000, 20_000) for number in range(3))
PROGRAM: Final = """
import sys
from pathlib import Path
from owtmix.workers.card_holds import CardHolds
from owtmix.workers.card_list import ListedCard
from owtmix.workers.places import Places
cards = [ListedCard(f"GPU-{number}", "NVIDIA L4", 24_000, 20_000) for number in range(3)]
print("ready", flush=True)
sys.stdin.readline()
with CardHolds(lambda count, name: Places(Path(sys.argv[1]) / name, count)) as holds:
    print(holds.least_loaded(cards, 1000)[0].uuid, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return lambda count, name: Places(tmp_path / name, count)


def held(locks: Locks, uuid: str) -> int:
    return locks(PARTS, parts_of(uuid)).held()


def uuids(cards: list[ListedCard]) -> list[str]:
    return [card.uuid for card in cards]


def test_programs_that_start_together_take_different_cards(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    programs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in CARDS
    ]
    for program in programs:
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin
        program.stdin.write("go\n")
    taken = [program.stdout.readline().strip() for program in programs if program.stdout]
    for program in programs:
        program.communicate("end\n", timeout=30)
    assert sorted(taken) == uuids([*CARDS])


def test_the_least_loaded_card_is_first(locks: Locks) -> None:
    busy, roomy, full = (
        ListedCard("GPU-0", "L4", 24_000, 23_000),
        ListedCard("GPU-1", "L4", 24_000, 12_000),
        ListedCard("GPU-2", "L4", 24_000, 900),  # of another program
    )
    with CardHolds(locks) as first, CardHolds(locks) as second, CardHolds(locks) as third:
        assert uuids(first.least_loaded([full, roomy, busy], 1000)) == ["GPU-0", "GPU-1", "GPU-2"]
        assert uuids(second.least_loaded([full, roomy, busy], 1000)) == ["GPU-1", "GPU-0", "GPU-2"]
        assert held(locks, "GPU-0") == held(locks, "GPU-1") == OWN_PARTS
        assert uuids(third.least_loaded([full], 1000)) == ["GPU-2"]  # somebody may go
    assert [held(locks, card.uuid) for card in (busy, roomy, full)] == [0, 0, 0]


def test_jobs_of_a_batch_are_seen(locks: Locks) -> None:
    taken = [locks(PARTS, parts_of("GPU-0")).take() for _ in range(OWN_PARTS + 1)]
    with CardHolds(locks) as one:
        assert one.least_loaded(CARDS[:2], 0)[0] == CARDS[1]
        with CardHolds(locks) as two:  # card 1 has fewer parts
            assert two.least_loaded(CARDS[:2], 0)[0] == CARDS[1]
    for descriptor in taken:
        assert descriptor is not None
        os.close(descriptor)


def test_a_card_that_is_full_is_used_all_the_same(locks: Locks) -> None:
    taken = [locks(PARTS, parts_of("GPU-0")).take() for _ in range(PARTS - 3)]
    with CardHolds(locks) as job:
        job.keep(CARDS[0])
        assert held(locks, "GPU-0") == PARTS
        job.keep(CARDS[1])
        assert (held(locks, "GPU-0"), held(locks, "GPU-1")) == (PARTS - 3, OWN_PARTS)
    for descriptor in taken:
        assert descriptor is not None
        os.close(descriptor)


def test_one_that_was_stopped_while_it_chose_is_not_waited_for(locks: Locks) -> None:
    turn = locks(1, "card-choice").take()
    slept: list[float] = []
    with CardHolds(locks, slept.append) as job:
        assert job.least_loaded(CARDS, 0) == [*CARDS]
    assert sum(slept) == pytest.approx(5)
    assert turn is not None
    os.close(turn)


def test_sessions_are_shared_and_one_is_left_to_others(locks: Locks) -> None:
    with CardHolds(locks) as one, CardHolds(locks) as two, CardHolds(locks) as three:
        for job in (one, two):
            job.wait_for_session()
            assert job.more_sessions(100) == MOST_SESSIONS
        assert locks(CONSUMER_SESSIONS, SESSIONS).held() == CONSUMER_SESSIONS
        one.give_back_sessions()
        three.wait_for_session()
        assert three.more_sessions(2) == 2


def test_who_waits_for_a_session_is_before_further_workers(locks: Locks, caplog: pytest.LogCaptureFixture) -> None:
    with CardHolds(locks) as one, CardHolds(locks) as two:
        one.wait_for_session()
        rest = [locks(CONSUMER_SESSIONS, SESSIONS).take() for _ in range(CONSUMER_SESSIONS - 1)]

        def turn(_seconds: float) -> None:
            assert one.more_sessions(2) == 1
            descriptor = rest.pop()
            assert descriptor is not None
            os.close(descriptor)
            assert one.more_sessions(2) == 1

        two._sleep = turn
        two.wait_for_session()
        for descriptor in rest:
            assert descriptor is not None
            os.close(descriptor)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "--device cpu waits for none" in record.message


def test_without_locks_a_job_goes_on() -> None:
    def gone(_count: int, _name: str) -> Places:
        raise OSError(errno.EROFS, "read-only")

    with CardHolds(gone) as job:
        assert job.least_loaded(CARDS, 0) == [*CARDS]
        job.keep(CARDS[1])
        job.wait_for_session()
        assert job.more_sessions(3) == 3


def test_a_session_is_held_where_a_card_may_need_one() -> None:
    assert not may_need_session(CARDS)
    assert may_need_session([*CARDS, ListedCard("GPU-9", "NVIDIA GeForce RTX 4090", 24_000)])
    assert may_need_session([])
