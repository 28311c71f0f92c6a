"""What becomes of a job, as a table."""

from __future__ import annotations

import pytest

from owtmix.batch.policy import (
    FINAL,
    MOST_LOSSES,
    STATES,
    History,
    Verdict,
    device_of,
    is_counted,
    is_killed,
    is_stopped,
    judge,
)

NEW = History()
ONCE, TWICE = History(1), History(2)
LOST_OFTEN = History(losses=MOST_LOSSES)


@pytest.mark.parametrize(
    ("exit_status", "history", "verdict"),
    [
        (0, NEW, Verdict("done")),
        (0, TWICE, Verdict("done")),
        (0, LOST_OFTEN, Verdict("done")),
        (1, NEW, Verdict("lost", 60, counts=False, pause_s=60)),
        (1, LOST_OFTEN, Verdict("lost", 60, counts=False, pause_s=60)),
        (2, NEW, Verdict("rejected")),
        (3, NEW, Verdict("again", 30)),
        (3, ONCE, Verdict("again", 60)),
        (3, TWICE, Verdict("poisoned")),
        (4, NEW, Verdict("again")),
        (4, ONCE, Verdict("again")),
        (4, TWICE, Verdict("poisoned")),
        (5, NEW, Verdict("again", 60, pause_s=60)),
        (5, ONCE, Verdict("again", 120, pause_s=120)),
        (5, TWICE, Verdict("poisoned")),
        (6, NEW, Verdict("again", 30, counts=False)),
        (6, TWICE, Verdict("again", 30, counts=False)),
        (130, NEW, Verdict("drained", 30, counts=False, loss=True)),
        (130, LOST_OFTEN, Verdict("poisoned", counts=False)),
        (-9, NEW, Verdict("again")),
        (-11, TWICE, Verdict("poisoned")),
        (137, NEW, Verdict("again")),
        (99, TWICE, Verdict("poisoned")),
        (None, NEW, Verdict("lost", counts=False, loss=True)),
        (None, History(2, 4), Verdict("lost", counts=False, loss=True)),
        (None, LOST_OFTEN, Verdict("poisoned", counts=False)),
    ],
)
def test_what_follows_from_an_exit_status(exit_status: int | None, history: History, verdict: Verdict) -> None:
    assert judge(exit_status, history, attempts=3) == verdict


@pytest.mark.parametrize("history", [NEW, TWICE, LOST_OFTEN])
def test_a_job_that_the_batch_stopped_is_not_blamed(history: History) -> None:
    verdict = judge(130, history, attempts=3, is_asked=True)
    assert (verdict, verdict.is_asked) == (Verdict("drained", counts=False), True)
    assert history.after(130, counts=verdict.counts, loss=verdict.loss) == history
    assert not judge(130, NEW, attempts=3).is_asked
    assert judge(4, history, attempts=3, is_asked=True) == judge(4, history, attempts=3)


def test_which_ends_are_stops() -> None:
    statuses = (None, 0, 1, 2, 3, 4, 5, 6, 99, 130, 137, -9, -15)
    assert [status for status in statuses if is_stopped(status)] == [1, 3, 4, 5, 6, 99, 130, 137, -9, -15]


def test_waits_have_a_limit() -> None:
    assert judge(3, History(50), attempts=100).wait_s == judge(5, History(50), attempts=100).wait_s == 600


@pytest.mark.parametrize("exit_status", [-64, -15, -9, -1, *range(9), 99, 130, 137, 255, None])
@pytest.mark.parametrize("attempts", [1, 3])
def test_every_job_ends_some_day(exit_status: int | None, attempts: int) -> None:
    """Whatever it does again and again; only one that runs elsewhere, or finds no machine set up, is waited for."""
    history, runs = NEW, 0
    while runs < 20:
        verdict = judge(exit_status, history, attempts)
        assert verdict.state in STATES
        history = history.after(exit_status, counts=verdict.counts, loss=verdict.loss)
        runs += 1
        if verdict.state in FINAL:
            break
    assert (runs == 20) == (exit_status in {1, 6})


def test_a_history_knows_how_the_last_attempt_ended() -> None:
    killed = NEW.after(-9, counts=True, loss=False)
    assert killed == History(1, killed=True)
    assert killed.after(None, counts=False, loss=True) == History(1, 1, killed=True)
    assert killed.after(4, counts=True, loss=False) == History(2, composing_failed=True)
    lost = History(1, MOST_LOSSES, killed=True)
    assert lost.after(130, counts=False, loss=False) == lost
    assert lost.after(3, counts=True, loss=False) == History(2)


def test_a_shortage_does_not_count_and_is_forgotten_with_what_counts() -> None:
    short = ONCE.after(1, counts=False, loss=False, is_shortage=True)
    assert (short, short.is_alone) == (History(1, shortages=1), False)
    short = short.after(1, counts=False, loss=False, is_shortage=True)
    assert (short, short.is_alone) == (History(1, shortages=2), True)
    assert short.after(3, counts=True, loss=False) == TWICE


def test_jobs_that_did_harm_are_the_last_and_then_alone() -> None:
    turns = [History(losses=losses).turn for losses in range(MOST_LOSSES + 1)]
    assert turns == [(False, 0), (False, 1), (False, 2), (True, 3), (True, 4), (True, 5)]
    assert History(1, killed=True).turn == (True, 0)


@pytest.mark.parametrize(
    ("history", "attempts", "device"),
    [
        (History(2, composing_failed=True), 3, "cpu"),
        (History(1, composing_failed=True), 3, None),
        (History(2), 3, None),
        (NEW, 1, None),
        (History(1, composing_failed=True), 2, "cpu"),
    ],
)
def test_the_last_attempt_after_composing_failed_is_on_the_cpu(
    history: History, attempts: int, device: str | None
) -> None:
    assert device_of(history, attempts) == device


def test_which_ends_count() -> None:
    assert [status for status in (None, 0, 1, 2, 3, 4, 5, 6, 130, -9) if is_counted(status)] == [0, 2, 3, 4, 5, -9]
    assert [status for status in (None, 0, 1, 2, 3, 4, 5, 6, 130, -9, 137) if is_killed(status)] == [-9, 137]
