"""Which job begins when, with a clock of its own."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from owtmix.batch.agenda import MOST_UNREADY, Agenda, Planned
from owtmix.batch.attempt import Attempt
from owtmix.batch.estimates import Estimates
from owtmix.batch.policy import History
from tests.batch.made import ended, planned

HERE = ("here",)
MIB = 1 << 20


def agenda(*plans: Planned, attempts: int = 3, longest_pause_s: float = 600) -> Agenda:
    return Agenda(plans, attempts, Estimates(), longest_pause_s)


def pick(of: Agenda, now_s: float = 0, hosts: Collection[str] = HERE) -> Attempt:
    found = of.pick(now_s, hosts, lambda _: True)
    assert found
    return found


def nothing(of: Agenda, now_s: float = 0, hosts: Collection[str] = HERE) -> bool:
    return of.pick(now_s, hosts, lambda _: True) is None


def test_jobs_begin_in_their_order() -> None:
    of = agenda(planned("a"), planned("b"), planned("c"))
    assert [pick(of).job.id for _ in range(3)] == ["a", "b", "c"]
    assert nothing(of)
    assert (of.running, of.waiting, of.is_over) == (3, 0, False)


def test_a_smaller_job_begins_when_the_first_one_does_not_fit() -> None:
    of = agenda(planned("a", memory_bytes=900 * MIB), planned("b", memory_bytes=100 * MIB))
    small = of.pick(0, HERE, lambda attempt: attempt.memory_bytes < 500 * MIB)
    assert small
    assert small.job.id == "b"
    assert of.pick(0, HERE, lambda attempt: attempt.memory_bytes < 500 * MIB) is None
    assert pick(of).job.id == "a"


def test_only_a_few_are_tried_when_nothing_fits() -> None:
    tried: list[str] = []

    def fits(attempt: Attempt) -> bool:
        tried.append(attempt.job.id)
        return False

    agenda(*(planned(str(number)) for number in range(1000))).pick(0, HERE, fits)
    assert len(tried) < 20


def test_a_job_waits_before_it_is_tried_again_and_keeps_its_rank() -> None:
    of = agenda(planned("a"), planned("b"), planned("c"))
    of.end(ended(pick(of), 3), 100)
    of.end(ended(pick(of, 100)), 110)
    assert (of.next_s(110), of.waiting) == (130, 2)
    again = pick(of, 130)
    assert (again.job.id, again.number) == ("a", 2)
    assert pick(of, 130).job.id == "c"


def test_waits_are_bounded_by_the_longest_pause() -> None:
    of = agenda(planned("a"), longest_pause_s=0.5)
    of.end(ended(pick(of), 5), 0)
    assert nothing(of, 0.4)
    assert pick(of, 0.5).number == 2


@pytest.mark.parametrize(("exit_status", "pause_s"), [(1, 60), (5, 60)])
def test_a_host_pauses_and_others_do_not(exit_status: int, pause_s: float) -> None:
    of = agenda(*map(planned, "abcd"))
    of.end(ended(pick(of), exit_status, node="one"), 0)
    assert nothing(of, pause_s - 1, hosts=["one"])
    elsewhere = pick(of, pause_s - 1, hosts=["one", "two"])
    assert (elsewhere.job.id, elsewhere.avoid) == ("b", frozenset({"one"}))
    of.end(ended(elsewhere, 0, node="two"), pause_s - 1)
    assert pick(of, pause_s, hosts=["one"]).avoid == frozenset()


def test_without_known_hosts_the_runner_decides() -> None:
    of = agenda(planned("a"), planned("b"))
    of.end(ended(pick(of), 5, node="one"), 0)
    assert pick(of, 1, hosts=[]).avoid == {"one"}


def test_a_killed_job_is_alone_and_last() -> None:
    of = agenda(planned("a"), planned("b"), planned("c", history=History(1, killed=True)))
    first = pick(of)
    of.end(ended(first, -9), 0)
    assert pick(of).job.id == "b"
    alone = pick(of)
    assert (alone.job.id, alone.exclusive, alone.number) == ("a", True, 2)
    assert pick(of).job.id == "c"


def test_jobs_that_took_their_host_down_begin_after_the_others() -> None:
    """The one with the most losses last; from the third loss on alone, so that nobody beside it is blamed."""
    of = agenda(*(planned(f"{losses}", history=History(losses=losses)) for losses in (4, 2, 3, 1, 0)), planned("x"))
    begun = [pick(of) for _ in range(6)]
    assert [attempt.job.id for attempt in begun] == ["0", "x", "1", "2", "3", "4"]
    assert [attempt.exclusive for attempt in begun] == [False] * 4 + [True] * 2


def test_a_job_that_lost_its_node_lets_the_others_begin() -> None:
    of = agenda(planned("bad"), planned("a"), planned("b"))
    of.end(ended(pick(of), None, node="one"), 0)
    assert [pick(of).job.id for _ in range(3)] == ["a", "b", "bad"]


def test_the_last_attempt_after_composing_failed_is_on_the_cpu() -> None:
    of = agenda(planned("a"))
    devices = []
    for _ in range(3):
        begun = pick(of)
        devices.append(begun.device)
        of.end(ended(begun, 4), 0)
    assert devices == [None, None, "cpu"]
    assert of.is_over


def test_draining_begins_nothing_and_ends_with_what_runs() -> None:
    of = agenda(planned("a"), planned("b"))
    begun = pick(of)
    of.drain()
    assert nothing(of)
    assert not of.is_over
    verdict, _ = of.end(ended(begun, 130), 0)
    assert (verdict.state, of.is_over, of.waiting) == ("drained", True, 2)


def test_what_was_counted_before_counts() -> None:
    of = agenda(planned("a", history=History(2)))
    begun = pick(of)
    assert begun.number == 3
    assert of.end(ended(begun, 3), 0)[0].state == "poisoned"


def test_a_job_that_always_kills_its_host_is_poisoned_and_others_are_done() -> None:
    of = agenda(planned("bad", cost=9), planned("a"), planned("b"))
    states: dict[str, str] = {}
    now_s = 0.0
    for _ in range(20):
        if of.is_over:
            break
        begun = pick(of, now_s, hosts=["one", "two"])
        verdict, _ = of.end(ended(begun, None if begun.job.id == "bad" else 0, node="one"), now_s)
        states[begun.job.id] = verdict.state
        now_s += 1
    assert states == {"bad": "poisoned", "a": "done", "b": "done"}


def test_a_host_that_is_never_set_up_is_hopeless() -> None:
    of = agenda(*(planned(str(number)) for number in range(20)))
    now_s = 0.0
    for _ in range(MOST_UNREADY):
        assert not of.is_hopeless(HERE)
        side_by_side = [pick(of, now_s), pick(of, now_s)]
        for begun in side_by_side:
            of.end(ended(begun, 1), now_s)
        now_s += 60
    assert of.is_hopeless(HERE)
    assert not of.is_hopeless(["here", "there"])
    of.end(ended(pick(of, now_s), 0), now_s)
    assert not of.is_hopeless(HERE)


def test_memory_is_what_such_jobs_took() -> None:
    of = agenda(*(planned(name, memory_bytes=400 * MIB) for name in "abcd"))
    assert pick(of).memory_bytes == 400 * MIB
    of.end(ended(pick(of), 0, peak_mib=1000), 0)
    assert pick(of).memory_bytes > 1000 * MIB


def test_memory_of_a_job_is_what_it_took_before() -> None:
    of = agenda(planned("a", memory_bytes=400 * MIB, peak_mib=2000), planned("b", memory_bytes=400 * MIB))
    assert pick(of).memory_bytes > 2000 * MIB
    of.end(ended(pick(of), 3, peak_mib=900), 0)
    assert pick(of, 30).memory_bytes > 900 * MIB


def test_the_open_cost_is_that_of_the_jobs_that_wait() -> None:
    of = agenda(planned("a", cost=5), planned("b", cost=2))
    begun = pick(of)
    assert (of.cost_waiting, of.cost_of("a")) == (2, 5)
    of.end(ended(begun, 3), 0)
    assert of.cost_waiting == 7
    assert of.is_ready(0)
    assert of.next_s(0) == 30


def test_a_job_that_finds_no_host_set_up_does_not_hold_up_the_others() -> None:
    """It is never given up, but the host pauses for it only twice."""
    of = agenda(planned("bad"), *(planned(str(number)) for number in range(50)))
    now_s, done, pauses = 0.0, 0, []
    while not of.is_hopeless(HERE):
        if begun := of.pick(now_s, HERE, lambda _: True):
            is_bad = begun.job.id == "bad"
            verdict, history = of.end(ended(begun, 1 if is_bad else 0), now_s + 10)
            done += not is_bad
            if is_bad:
                assert (verdict.state, history) == ("lost", History())
                pauses.append(verdict.pause_s)
        now_s += 10
        assert now_s < 10_000
    assert (done, of.waiting) == (50, 1)
    assert pauses[:4] == [60, 60, 0, 0]


def test_what_no_host_can_run_ends_the_batch_however_many_hosts_there_are() -> None:
    of = agenda(planned("bad"))
    hosts = [f"node-{number}" for number in range(20)]
    for runs in range(MOST_UNREADY):
        assert not of.is_hopeless(hosts)
        of.end(ended(pick(of, runs * 1000, hosts), 1, node="node-0"), runs * 1000)
    assert of.is_hopeless(hosts)


def test_jobs_that_find_no_host_set_up_let_those_begin_that_have_not_tried() -> None:
    """Here all that come first say it, each again and again."""
    bad = {f"bad{number}" for number in range(4)}
    of, done, now_s = agenda(*map(planned, [*sorted(bad), "c", "d", "e"])), [], 0.0
    for _ in range(12):
        attempt = of.pick(now_s, HERE, lambda _: True)
        if attempt:
            status = 1 if attempt.job.id in bad else 0
            of.end(ended(attempt, status), now_s)
            done += [] if status else [attempt.job.id]
        assert not of.is_hopeless(HERE)
        now_s += 700
        if len(done) == 3:
            break
    assert done == ["c", "d", "e"]


def test_jobs_that_found_no_host_again_and_again_come_after_those_that_were_killed() -> None:
    of, now_s = agenda(*map(planned, [*(f"bad{number}" for number in range(3)), "killed"])), 0.0
    begun: list[str] = []
    for _ in range(60):
        attempt = of.pick(now_s, HERE, lambda _: True)
        if attempt:
            begun.append(attempt.job.id)
            killed = attempt.job.id == "killed"
            of.end(ended(attempt, (-9 if begun.count("killed") == 1 else 0) if killed else 1), now_s)
        if of.is_hopeless(HERE) or of.is_over:
            break
        now_s += 61
    assert begun.count("killed") == 2
    assert of.is_hopeless(HERE)


def test_what_concerns_one_job_alone_says_nothing_of_its_host() -> None:
    of = agenda(*map(planned, [*(f"gone{number}" for number in range(MOST_UNREADY)), "b"]))
    for _ in range(MOST_UNREADY):
        of.end(ended(pick(of), 1, is_own=True), 0)
    assert not of.is_hopeless(HERE)
    assert pick(of).job.id == "b"


def test_a_job_for_which_the_machine_is_too_short_is_alone_from_the_third_time_on_and_never_poisoned() -> None:
    """Beside others it may be they who take what is short."""
    of, short = agenda(*map(planned, "ab")), {"error": {"type": "TriedEnoughError"}}
    exclusive, begun_s = [], []
    for now_s in range(0, 1000, 10):
        if of.is_hopeless(HERE):
            break
        if attempt := of.pick(now_s, HERE, lambda _: True):
            is_short = attempt.job.id == "a"
            end = ended(attempt, 1, is_own=True, report=short) if is_short else ended(attempt, 0)
            verdict, history = of.end(end, now_s)
            if is_short:
                assert (verdict.state, verdict.counts, history.counted) == ("lost", False, 0)
                exclusive.append(attempt.exclusive)
                begun_s.append(now_s)
    assert exclusive == [False, False, True, True, True]
    assert begun_s == [0, 60, 120, 180, 240]
    assert (of.is_hopeless(HERE), of.waiting) == (True, 1)


def test_jobs_that_found_no_host_in_earlier_runs_begin_after_all_others() -> None:
    """Those that were killed, too, and whatever their losses."""
    of = agenda(
        planned("killed", history=History(1, killed=True)),
        planned("lost", history=History(losses=2)),
        *(planned(f"stuck{number}", was_stuck=True) for number in range(MOST_UNREADY)),
    )
    assert [pick(of).job.id for _ in range(4)] == ["lost", "killed", "stuck0", "stuck1"]


def test_a_job_that_was_lost_and_found_no_host_is_tried_though_others_find_none_for_ever() -> None:
    """What comes back to the end of the list never stands before what was not tried in this run."""
    lost = planned("lost", history=History(losses=1), was_stuck=True)
    of, now_s, begun = agenda(*(planned(f"gone{n}") for n in range(4)), lost, longest_pause_s=0.1), 0.0, []
    for _ in range(200):
        if of.is_over or of.is_hopeless(HERE):
            break
        if attempt := of.pick(now_s, HERE, lambda _: True):
            begun.append(attempt.job.id)
            of.end(ended(attempt, 0 if attempt.job.id == "lost" else 1, is_own=True), now_s)
        now_s += 1
    assert "lost" in begun
    assert of.is_hopeless(HERE)


def test_one_that_runs_alone_is_not_kept_waiting_by_others_that_find_no_host() -> None:
    """They would always be running, two at a time."""
    lost = planned("lost", history=History(losses=5), was_stuck=True)
    of, now_s = agenda(*(planned(f"bad{n}") for n in range(4)), lost), 0.0
    running: list[Attempt] = []
    begun: list[str] = []
    for _ in range(400):
        fits = 2 - len(running)
        while fits and (found := of.pick(now_s, HERE, lambda one: not running or not one.exclusive)):
            running.append(found)
            begun.append(found.job.id)
            fits = 0 if found.exclusive else fits - 1
        if running:
            one = running.pop(0)
            of.end(ended(one, 0 if one.job.id == "lost" else 1, is_own=True), now_s)
        now_s += 40
        if of.is_over or of.is_hopeless(HERE):
            break
    assert "lost" in begun


def test_jobs_that_are_busy_elsewhere_let_the_others_begin() -> None:
    of, now_s, begun = agenda(*(planned(f"busy{n}") for n in range(12)), planned("free")), 0.0, []
    for _ in range(13):
        attempt = pick(of, now_s)
        begun.append(attempt.job.id)
        of.end(ended(attempt, 6), now_s)
        now_s += 31
    assert begun[-1] == "free"


@pytest.mark.parametrize("others", [MOST_UNREADY, 50])
def test_a_job_that_was_killed_is_tried_before_a_host_counts_as_not_set_up(others: int) -> None:
    """What all others say may be their own affair, however many they are."""
    of, now_s, begun = agenda(planned("killed"), *(planned(f"{number}") for number in range(others))), 0.0, []
    while not of.is_hopeless(HERE):
        if attempt := of.pick(now_s, HERE, lambda _: True):
            begun.append(attempt.job.id)
            killed = attempt.job.id == "killed"
            of.end(ended(attempt, (-9 if begun.count("killed") == 1 else 0) if killed else 1), now_s)
        now_s += 61
        assert now_s < 10_000
    assert begun.count("killed") == 2


def test_a_host_that_is_not_set_up_is_hopeless_though_many_were_killed() -> None:
    histories = [History(1, killed=True)] * 50
    of, now_s, tried = agenda(*(planned(f"{n}", history=one) for n, one in enumerate(histories))), 0.0, 0
    while not of.is_hopeless(HERE):
        if attempt := of.pick(now_s, HERE, lambda _: True):
            of.end(ended(attempt, 1), now_s)
            tried += 1
        now_s += 61
    assert tried <= 2 * MOST_UNREADY
