"""Children, places, memory and disk of this machine, without ``owt-main``."""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from owtmix.batch.admission import DISK_RESERVE, MEMORY_RESERVE, Admission
from owtmix.batch.attempt import Attempt, Ended
from owtmix.batch.command import Program
from owtmix.batch.local import LocalRunner
from owtmix.batch.waiting import SAID_AFTER_S, Waiting
from tests.batch.made import attempt

MIB = 1 << 20


class FakePlaces:
    """Places of which some are free."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.waiting = 0

    def take(self) -> int | None:
        if not self.free:
            return None
        self.free -= 1
        return os.open(os.devnull, os.O_RDONLY)

    def held(self) -> int:
        return 7

    @contextmanager
    def wait(self) -> Iterator[None]:
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1


class GonePlaces(FakePlaces):
    """Places whose folder was removed."""

    def take(self) -> int | None:
        raise FileNotFoundError

    def held(self) -> int:
        raise FileNotFoundError


def admission(available: int | None = None, state: Path = Path("/")) -> Admission:
    return Admission(state, lambda: available)


def shell(script: str) -> Program:
    return Program(("sh", "-c", script, "sh"))


def runner(script: str = "sleep 5", jobs: int = 2, places: FakePlaces | None = None) -> LocalRunner:
    return LocalRunner(shell(script), jobs, places, admission())


def wait(of: LocalRunner, timeout_s: float = 10) -> Ended:
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if ended := of.wait(0.5):
            return ended[0]
    raise TimeoutError


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def begun(tmp_path: Path) -> Attempt:
    return replace(attempt(), log=tmp_path / "a.log")


def test_a_run_ends_with_what_it_said(begun: Attempt) -> None:
    with closing(runner('echo "error: bad" >&2; echo "{}"; exit 3')) as of:
        of.begin(begun)
        assert [*of.progress()] == ["a"]
        end = wait(of)
    assert (end.exit_status, end.report, end.error, end.node) == (3, {}, "bad", of.host)
    assert end.wall_s > 0
    assert begun.log.read_text().endswith("error: bad\n")


def test_what_a_run_leaves_behind_is_ended(begun: Attempt, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with closing(runner(f"sleep 60 & echo $! > {pid_file}")) as of:
        of.begin(begun)
        assert wait(of, 5).exit_status == 0
    pid = int(pid_file.read_text())
    until_s = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_an_endless_writer_does_not_grow_the_batch(begun: Attempt) -> None:
    with closing(runner("yes & yes >&2 & sleep 0.5")) as of:
        of.begin(begun)
        end = wait(of)
    assert (end.exit_status, end.report) == (0, None)


def test_a_program_that_cannot_be_run_is_a_machine_that_is_not_set_up(begun: Attempt) -> None:
    with closing(LocalRunner(Program(("/missing",)), 1, None, admission())) as of:
        of.begin(begun)
        (end,) = of.wait(1)
    assert (end.exit_status, end.error) == (1, "/missing cannot be run: No such file or directory")


def test_options_that_no_command_can_have_are_the_jobs(begun: Attempt) -> None:
    for text in ("x" * 131_072, "\0", "\ud800"):
        bad = replace(begun, job=replace(begun.job, overrides={"Data.X": text}))
        with closing(runner("exit 0")) as of:
            of.begin(bad)
            (end,) = of.wait(1)
        assert end.exit_status == 2
        assert end.error.startswith("its options ")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EMFILE, r"a process may open \d+ files, which are too few: raise the limit \(ulimit -n\)"),
        (errno.ENFILE, "too many files are open on this machine"),
        (errno.EAGAIN, r"processes are short: run less at a time, or raise the limit \(ulimit -u\)"),
        (errno.ENOMEM, "memory is short"),
        (errno.E2BIG, "sh cannot be run: Argument list too long"),  # by the environment
    ],
)
def test_what_the_machine_is_short_of_is_named_and_no_job_is_blamed(
    begun: Attempt, monkeypatch: pytest.MonkeyPatch, number: int, why: str
) -> None:
    monkeypatch.setattr("owtmix.base.shortage._lacks_memory", lambda: True)
    with closing(runner("sleep 5", jobs=4)) as of:
        of.begin(replace(begun, job=replace(begun.job, id="first")))
        with monkeypatch.context() as short:
            short.setattr("os.pidfd_open", raises(number))
            assert of.can_begin(begun)
            of.begin(begun)
            assert not of.can_begin(begun)
        (end,) = of.wait(1)
        assert end.exit_status == 1
        assert re.match(why, end.error)
        is_shortage = number != errno.E2BIG
        assert of.can_begin(begun) != is_shortage  # fewer at a time


def test_a_run_that_ends_for_want_of_something_makes_fewer_run_once_for_each_job(
    begun: Attempt, tmp_path: Path
) -> None:
    report, file = '{"error": {"type": "ShortageError", "message": "memory is short"}}', tmp_path / "end"
    brief = f"while [ ! -e {file} ]; do sleep 0.1; done; exit 0"
    script = f"case $* in *short*) echo '{report}'; exit 4;; *brief*) {brief};; esac; sleep 60"
    with closing(runner(script, jobs=4)) as of:
        for name in ("a", "b", "brief"):
            of.begin(replace(begun, job=replace(begun.job, id=name, cfg=Path(name))))
        for _ in range(2):
            of.begin(replace(begun, job=replace(begun.job, id="d", cfg=Path("short"))))
            end = wait(of)
            assert (end.exit_status, end.is_shortage) == (4, True)
            assert not of.can_begin(begun)  # three run
        file.touch()
        assert wait(of).exit_status == 0
        assert of.can_begin(begun)


def raises(number: int) -> Callable[[int], int]:
    def fail(_: int) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_run_holds_its_place_until_it_ends(begun: Attempt) -> None:
    """The batch has no copy of the descriptor, so whoever dies lets go."""
    places = FakePlaces(1)
    with closing(runner("ls -l /proc/$$/fd >&2", places=places)) as of:
        assert of.can_begin(begun)
        before = open_files()
        of.begin(begun)
        assert open_files() == before - 1 + 3  # the place; two pipes and the process
        wait(of)
    assert begun.log.read_text().count("/dev/null") == 2


def test_a_place_that_was_taken_in_vain_is_given_back(begun: Attempt) -> None:
    places = FakePlaces(1)
    with closing(runner(places=places)) as of:
        before = open_files()
        assert of.can_begin(begun)
        assert open_files() == before + 1
        of.wait(0)
        assert open_files() == before


def test_a_batch_waits_while_a_job_finds_no_place(begun: Attempt) -> None:
    places = FakePlaces(0)
    with closing(runner(places=places)) as of:
        assert not of.can_begin(begun)
        of.wait(0)
        assert places.waiting == 1
        assert not of.can_begin(begun)
        of.wait(0)
        assert places.waiting == 1
        of.wait(0)
        assert places.waiting == 0


def test_who_got_a_place_stands_at_the_end_of_the_line(begun: Attempt) -> None:
    places = FakePlaces(0)
    with closing(runner(places=places)) as of:
        assert not of.can_begin(begun)
        of.wait(0)
        places.free = 1
        assert of.can_begin(begun)
        assert places.waiting == 0
        of.begin(begun)
        assert not of.can_begin(begun)
        assert places.waiting == 1


def test_why_jobs_wait_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now_s = 0.0
    waiting = Waiting(lambda: now_s)
    for second in range(20):
        now_s = float(second)
        if second == 4:
            waiting.end()
        waiting.note(" for memory")
        assert len(caplog.records) == (second >= 4 + SAID_AFTER_S)
    assert caplog.messages == ["waits for memory"]


@pytest.mark.parametrize(
    ("places", "memory", "why"),
    [
        (FakePlaces(0), None, "waits: all places are taken by other batches and further workers"),
        (FakePlaces(1), 0, "waits for memory"),
    ],
)
def test_why_a_job_waits(
    begun: Attempt,
    places: FakePlaces,
    memory: int | None,
    why: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("owtmix.batch.waiting.SAID_AFTER_S", 0)
    caplog.set_level(logging.INFO)
    with closing(LocalRunner(shell("sleep 5"), 2, places, admission(memory))) as of:
        of.begin(begun)
        assert not of.can_begin(begun)
        assert not of.can_begin(begun)
    assert caplog.messages == [why]


def test_busy_places_are_those_that_are_held(begun: Attempt) -> None:
    for places, busy in ((FakePlaces(1), 7), (GonePlaces(1), 1), (None, 1)):
        with closing(runner(places=places)) as of:
            of.begin(begun)
            assert of.busy_places == busy


def test_without_the_folder_of_places_jobs_run_all_the_same(begun: Attempt) -> None:
    with closing(runner("exit 0", places=GonePlaces(0))) as of:
        assert of.can_begin(begun)
        of.begin(begun)
        assert wait(of).exit_status == 0


def test_an_exclusive_attempt_is_alone(begun: Attempt) -> None:
    with closing(runner(jobs=4)) as of:
        alone = replace(begun, exclusive=True)
        assert of.can_begin(alone)
        of.begin(begun)
        assert not of.can_begin(alone)
        assert of.can_begin(begun)
        of.stop()
        wait(of)
        of.begin(alone)
        assert not of.can_begin(begun)


def test_a_host_that_is_avoided(begun: Attempt) -> None:
    with closing(runner()) as of:
        assert not of.can_begin(replace(begun, avoid=frozenset(of.hosts)))


def test_closing_ends_what_runs(begun: Attempt) -> None:
    of = runner("trap '' TERM; sleep 60")
    of.begin(begun)
    begun_s = time.monotonic()
    of.close()
    assert time.monotonic() - begun_s < 5


@pytest.mark.parametrize(
    ("available", "memory", "running", "fits"),
    [
        (1000 * MIB, 700 * MIB, 0, True),
        (MEMORY_RESERVE + 700 * MIB, 700 * MIB, 1, True),
        (MEMORY_RESERVE + 699 * MIB, 700 * MIB, 1, False),
        (None, 700 * MIB, 1, True),
        (0, 700 * MIB, 0, True),
    ],
)
def test_memory_admits_jobs(available: int | None, memory: int, running: int, *, fits: bool) -> None:
    others = {-number: attempt(str(number)) for number in range(1, running + 1)}
    assert admission(available).fits(attempt(memory_bytes=memory), others) == fits


def test_what_running_jobs_may_still_take_is_kept_for_them() -> None:
    other = attempt("b", memory_bytes=500 * MIB)
    of = admission(MEMORY_RESERVE + 800 * MIB)
    assert not of.fits(attempt(memory_bytes=400 * MIB), {-1: other})
    assert of.fits(attempt(memory_bytes=300 * MIB), {-1: other})
    own = attempt("b", memory_bytes=1)
    assert admission(MEMORY_RESERVE + 800 * MIB).fits(attempt(memory_bytes=800 * MIB), {os.getpid(): own})


def test_the_disk_admits_jobs(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    free = found.f_bavail * found.f_frsize - DISK_RESERVE
    of = admission(None, tmp_path)
    assert of.fits(attempt(disk_bytes=free // 4), {-1: attempt("b", disk_bytes=free // 4)})
    assert not of.fits(attempt(disk_bytes=free // 2), {-1: attempt("b", disk_bytes=free * 3 // 4)})
    assert of.fits(attempt(disk_bytes=2 * free), {})
    assert admission(None, tmp_path / "missing").fits(attempt(disk_bytes=2 * free), {-1: attempt("b")})
