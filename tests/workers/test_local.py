"""Children that crash, hang, grow, talk nonsense or die cost their own task and nothing else."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from owtmix.base.errors import InputError, RenderError
from owtmix.base.shortage import no_process
from owtmix.workers import child_process, protocol, standstill, worker_process
from owtmix.workers.alone import do_alone
from owtmix.workers.base import Death, DeathKind, Limits, Outcome
from owtmix.workers.local import WorkerPool
from owtmix.workers.queues import ApartQueue, FifoQueue
from owtmix.workers.worker_process import STARTING_S, ForkServer, WorkerProcess
from tests.workers import tasks
from tests.workers.tasks import TESTS, Echo

PATIENCE_S = 20.0
"""For children that are to finish: starting one takes long on a busy machine."""
MEMORY = 400 * tasks.MIB


@contextmanager
def executor(
    size: int = 2, silence_s: float = PATIENCE_S, warnings: list[str] | None = None, **options: Any
) -> Iterator[WorkerPool]:
    """A pool; ``options`` are more arguments of it."""
    heard: list[str] = [] if warnings is None else warnings
    with WorkerPool(size, Limits(MEMORY, silence_s), heard.append, TESTS, **options) as made:
        yield made


def run(
    *tasks: Echo, size: int = 2, silence_s: float = PATIENCE_S, alone: bool = False, **options: Any
) -> list[Outcome[Echo]]:
    """Outcomes in the order of ``tasks``."""
    with executor(size, silence_s, **options) as made:
        found = list(made.run(tasks, alone=alone))
    return sorted(found, key=lambda outcome: next(i for i, task in enumerate(tasks) if task is outcome.task))


def test_values_come_back_whatever_their_size() -> None:
    large = "€" * (8 << 20)
    echoes = [Echo("small"), tasks.EchoMuch(large), *(Echo(str(i)) for i in range(20))]
    assert [outcome.value for outcome in run(*echoes)] == [echo.payload for echo in echoes]


def test_a_crash_ends_its_own_task_alone() -> None:
    crash, *others = run(tasks.Crash(), Echo("a"), Echo("b"), Echo("c"), size=2)
    assert (crash.done_s, crash.value, crash.error) == (1.5, None, None)
    assert crash.death == Death(DeathKind.CRASHED, "crashes (SIGSEGV)")
    assert [other.value for other in others] == ["a", "b", "c"]


def test_what_hangs_is_ended_even_where_it_holds_the_interpreter() -> None:
    sleep, hold, work = run(tasks.Sleep(), tasks.HoldInterpreter(), Echo(), size=3, silence_s=3)
    assert sleep.death == hold.death == Death(DeathKind.HUNG, "hangs: no progress for 3 s")
    assert work.value == "done"


def test_a_child_that_never_reads_does_not_hold_up_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 3600\n")
    silent.chmod(0o755)
    monkeypatch.setattr(worker_process, "sys", SimpleNamespace(platform="none"))  # one without a fork server
    # It need not start, so this is one second in all.
    with ForkServer(python=str(silent)) as server:
        (outcome,) = run(Echo("x" * (4 << 20)), silence_s=1 - STARTING_S, server=server)
    words = f"hangs: no progress for {1 - STARTING_S:.0f} s before it begins"
    assert outcome.death == Death(DeathKind.UNSTARTED, words)
    assert outcome.death.is_shortage


def test_a_child_that_takes_too_much_memory_is_ended() -> None:
    growing, work = run(tasks.UseMemory(), Echo())
    assert growing.death == Death(DeathKind.MEMORY, "takes more than 400 MiB of memory")
    assert work.value == "done"


def test_a_child_that_hangs_up_is_ended() -> None:
    assert run(tasks.ClosePipe())[0].death == Death(DeathKind.PROTOCOL, "closes its pipe and does not exit")


def test_what_a_library_prints_is_no_report() -> None:
    assert run(tasks.PrintAnywhere())[0].value == "doneb''"


def test_errors_and_warnings_arrive_in_words() -> None:
    warnings: list[str] = []
    with executor(warnings=warnings) as made:
        (refused,) = made.run([tasks.RaiseInputError("is empty")])
        (failed,) = made.run([tasks.RaiseError("nothing to divide")])
    assert isinstance(refused.error, InputError)
    assert str(refused.error) == "is empty"
    assert warnings == ["about to raise"]
    assert isinstance(failed.error, RenderError)
    assert str(failed.error) == "the task failed: ZeroDivisionError: nothing to divide"


def test_half_a_line_is_no_result() -> None:
    (outcome,) = run(tasks.DieMidLine())
    assert (outcome.done_s, outcome.value) == (2, None)
    assert outcome.death == Death(DeathKind.KILLED, "is killed from outside (SIGKILL)")


def test_no_child_works_for_two_owners_or_has_worked_before() -> None:
    with executor(size=2) as made:
        (before,) = made.run([tasks.Pid("before")])
        owners = [tasks.Pid(owner) for owner in ("anna", "ben", "anna", "cleo", "ben")]
        found = list(made.run(ApartQueue(owners, lambda task: task.payload), renewed=True))
        (after,) = made.run([tasks.Pid("after")])
    by_child: dict[int, set[str]] = {}
    for outcome in found:
        by_child.setdefault(outcome.value, set()).add(outcome.task.payload)
    assert sorted(outcome.task.payload for outcome in found) == ["anna", "anna", "ben", "ben", "cleo"]
    assert all(len(worked_for) == 1 for worked_for in by_child.values())
    assert before.value not in by_child
    assert after.value in by_child, "what reads all of them anyway starts no new child"


def test_a_limit_of_cpu_time_is_the_machine_s() -> None:
    (outcome,) = run(tasks.UseUpTime())
    assert outcome.death == Death(DeathKind.KILLED, "has used up its CPU time, which is limited (ulimit -t)")


@pytest.mark.parametrize("task", [tasks.Beat, tasks.Creep, tasks.GoInCircles])
def test_a_child_that_reports_and_gets_nowhere_is_ended(monkeypatch: pytest.MonkeyPatch, task: type[Echo]) -> None:
    monkeypatch.setattr(child_process, "TIMES_SILENCE", 1)
    (outcome,) = run(task(), silence_s=1.5)
    assert outcome.death
    assert outcome.death.kind is DeathKind.HUNG
    assert "it reports, but is not done after" in outcome.death.words


def test_a_long_task_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "TIMES_SILENCE", 0.2)
    (outcome,) = run(tasks.CreepBriefly(), silence_s=10)
    assert outcome.value == "done"


def test_a_child_may_wait_for_as_long_as_something_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "TIMES_SILENCE", 1)
    arriving = count()
    with executor(silence_s=1) as made:
        (outcome,) = made.run([tasks.BeatBriefly()], watch=lambda: next(arriving))
    assert outcome.value == "done"


def test_warnings_of_all_tasks_are_bounded() -> None:
    warnings: list[str] = []
    with executor(size=1, warnings=warnings) as made:
        for outcome in made.run([tasks.Nag() for _ in range(8)]):
            assert sum(map(len, outcome.warnings)) <= protocol.MOST_WARNED
    assert sum(map(len, warnings)) <= standstill.MOST_WARNED + 100
    assert warnings[-1] == "there are too many warnings: further ones are left out"


def test_nonsense_ends_the_child() -> None:
    outcomes = run(tasks.SendRaw("hello\n"), tasks.SendRaw('["result", "a"]\n["result", "b"]\n'), Echo())
    assert [outcome.death for outcome in outcomes] == [
        Death(DeathKind.PROTOCOL, "sends a line that cannot be parsed"),
        Death(DeathKind.PROTOCOL, "sends lines after its result"),
        None,
    ]


def test_children_are_kept_for_more_work_unless_it_is_to_be_done_alone() -> None:
    pids = [tasks.Pid(str(i)) for i in range(3)]
    assert len({outcome.value for outcome in run(*pids, size=1)}) == 1
    assert len({outcome.value for outcome in run(*pids, size=1, alone=True)}) == 3


def test_who_was_busy_last_is_asked_first() -> None:
    """It has open what its last task left: another would begin anew."""
    asked: list[int] = []

    class Asking(FifoQueue[Echo]):
        def take(self, worker: int) -> Echo | None:
            asked.append(worker)
            return super().take(worker)

    with executor() as made:
        list(made.run(Asking([Echo(), tasks.SleepBriefly()])))
        list(made.run(Asking([Echo()])))
    assert asked == [1, 2, 2]


def test_time_in_which_the_parent_was_stopped_is_no_silence() -> None:
    """Ctrl-Z and ``fg``: the clock goes on, reports do not come."""
    begun, lost_s = time.monotonic(), 0.0

    def clock() -> float:
        nonlocal lost_s
        lost_s += 1000
        return begun + lost_s

    assert run(tasks.SleepBriefly(), silence_s=10, clock=clock)[0].value == "done"


def children() -> set[str]:
    """The processes, zombies too, that this one has; some may be of other tests' fixtures."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if f"PPid:\t{os.getpid()}\n" in (process / "status").read_text():
                found.add(process.name)
    return found


def test_nothing_is_left_behind() -> None:
    """No process, no zombie, no file descriptor; even where tasks die, or are abandoned half-way."""

    def work() -> None:
        run(Echo(), tasks.Crash(), tasks.SendRaw("nonsense\n"), Echo(), size=2)
        with executor() as made:
            next(made.run([Echo(), tasks.Sleep(), Echo("x" * (1 << 20))]))

    work()
    gc.collect()  # what other tests have left
    before = sorted(Path("/proc/self/fd").iterdir()), children()
    work()
    assert (sorted(Path("/proc/self/fd").iterdir()), children()) == before


def test_a_process_that_cannot_be_started_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="no process can be started: No such file or directory"):
        run(Echo(), server=ForkServer(python=str(tmp_path / "python")))


def test_a_start_that_fails_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With less at a time if there is another worker, and in a later run without one."""
    starts: list[int] = []
    make = ForkServer.make_worker

    def scarce(server: ForkServer) -> WorkerProcess:
        starts.append(len(starts))
        if len(starts) in {1, 3}:
            raise no_process()
        return make(server)

    monkeypatch.setattr(ForkServer, "make_worker", scarce)
    with executor() as made:
        assert do_alone(made, Echo(), sleep=lambda _: None).value == "done"
        assert [outcome.value for outcome in made.run([Echo("a"), Echo("b")])] == ["a", "b"]
        assert len(starts) == 3, "one worker did both"
        assert len(list(made.run([tasks.SleepBriefly(), tasks.SleepBriefly()]))) == 2
    assert len(starts) == 4


def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[float] = []

    def on_progress(_: Echo, done_s: float) -> None:
        heard.append(done_s)

    crash: Sequence[Echo] = [tasks.Crash()]
    with executor() as made:
        list(made.run(crash, on_progress))
    assert heard == [1.5]
    assert capsys.readouterr() == ("", "")


class Elsewhere:
    """Workers elsewhere, which do one task after a while."""

    def __init__(self, task: Echo) -> None:
        self.reader, self.writer = os.pipe()
        self.task: Echo | None = task
        self.turns = 0

    def fileno(self) -> int:
        return self.reader

    @property
    def is_busy(self) -> bool:
        return self.task is not None

    def turn(self) -> Iterator[Outcome[Any]]:
        self.turns += 1
        if self.task and self.turns > 3:
            task, self.task = self.task, None
            yield Outcome(task, "elsewhere")


def test_a_run_lasts_as_long_as_somebody_elsewhere_has_a_task() -> None:
    away = Elsewhere(Echo("far"))
    with executor() as pool:
        found = {outcome.task.payload: outcome.value for outcome in pool.run([Echo("near")], away=away)}
        assert found == {"near": "near", "far": "elsewhere"}
        assert [outcome.value for outcome in pool.run([Echo("later")])] == ["later"]
    for end in (away.reader, away.writer):
        os.close(end)


def test_news_from_elsewhere_end_the_waiting() -> None:
    away = Elsewhere(Echo("far"))
    os.write(away.writer, b".")
    begun_s = time.monotonic()
    nothing: list[Echo] = []
    with executor() as pool:
        assert [outcome.value for outcome in pool.run(nothing, away=away)] == ["elsewhere"]
    assert time.monotonic() - begun_s < 0.5
    for end in (away.reader, away.writer):
        os.close(end)
