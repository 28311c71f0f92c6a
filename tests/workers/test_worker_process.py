"""Workers are copies of a fork server, which knows nothing, holds nothing, and may be killed."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from owtmix.base.errors import ShortageError
from owtmix.workers import worker_process
from owtmix.workers.base import Limits
from owtmix.workers.fork_server import WORKER_NAME
from owtmix.workers.local import WorkerPool
from owtmix.workers.worker_process import ForkServer
from tests.workers.tasks import TESTS, Describe, Echo, Pid

PATIENCE_S = 20.0
GET_CHILD_SUBREAPER = 37


@pytest.fixture
def server() -> Iterator[ForkServer]:
    with ForkServer() as made:
        yield made


def pool(server: ForkServer) -> WorkerPool:
    return WorkerPool(2, Limits(400 << 20, PATIENCE_S), print, TESTS, server=server)


def family() -> set[int]:
    """The children of this process."""
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def started(server: ForkServer) -> int:
    """The process id of a server that is started."""
    before = family()
    server.start()
    (pid,) = family() - before
    return pid


def test_workers_are_children_with_a_name_of_their_own(server: ForkServer) -> None:
    with pool(server) as made:
        (outcome,) = made.run([Pid()])
        assert outcome.value in family()
        assert Path(f"/proc/{outcome.value}/comm").read_text().strip() == WORKER_NAME


def test_only_what_a_server_makes_is_adopted(server: ForkServer) -> None:
    """A program that uses this package does not become the parent of orphans."""
    adopts = ctypes.c_int(7)
    server.make_worker().remove()
    ctypes.CDLL(None).prctl(GET_CHILD_SUBREAPER, ctypes.byref(adopts), 0, 0, 0)
    assert adopts.value == 0


@pytest.mark.slow
def test_jobs_in_several_threads_adopt_their_own() -> None:
    """Whether a process adopts holds for all of its threads."""

    def work(_: int) -> list[str]:
        with ForkServer() as server, pool(server) as made:
            return [outcome.value for _ in range(5) for outcome in made.run([Echo("a"), Echo("b")], renewed=True)]

    with ThreadPoolExecutor(4) as threads:
        assert all(sorted(values) == ["a"] * 5 + ["b"] * 5 for values in threads.map(work, range(4)))


def test_neither_the_server_nor_workers_know_the_environment(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    pid = started(server)
    with pool(server) as made:
        (outcome,) = made.run([Describe("1")])
    assert "canary" not in str(outcome.value)
    assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_workers_hold_no_file_of_others(server: ForkServer, tmp_path: Path) -> None:
    """Not even one that every new process would inherit; nor the server's own, nor each other's pipes."""
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        with pool(server) as made:
            for outcome in made.run([Describe("1"), Describe("1")]):
                others = [name for name in outcome.value["files"] if not name.startswith(("pipe:", "/dev/null"))]
                assert [name for name in others if "secret" in name or "socket" in name] == []
                assert len({name for name in outcome.value["files"] if name.startswith("pipe:")}) == 2


def test_a_server_that_was_killed_is_replaced(server: ForkServer) -> None:
    with pool(server) as made:
        (before,) = made.run([Pid()])
        for child in family() - {before.value}:
            if b"fork_server" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
        outcomes = list(made.run([Echo("a"), Echo("b")], alone=True))
    assert sorted(outcome.value for outcome in outcomes) == ["a", "b"]


def test_a_server_may_be_killed_more_than_once(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    ask = ForkServer.ask

    def ask_a_killed_one(asked: ForkServer, files: Sequence[int]) -> int:
        if len(killed) < 3:
            killed.append(started(asked))
            os.kill(killed[-1], signal.SIGKILL)
        return ask(asked, files)

    monkeypatch.setattr(ForkServer, "ask", ask_a_killed_one)
    server.make_worker().remove()
    assert len(killed) == 3


def test_a_server_that_always_ends_is_a_shortage(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with ForkServer(python=str(broken)) as server, pytest.raises(ShortageError, match="ends before it has started"):
        server.make_worker()


def test_a_server_that_says_nothing_is_a_shortage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "STARTING_S", 0.5)
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 3600\n")
    silent.chmod(0o755)
    with ForkServer(python=str(silent)) as server, pytest.raises(ShortageError, match="says nothing for"):
        server.make_worker()


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EAGAIN, "ulimit -u"), (errno.EMFILE, "ulimit -n"), (errno.ENFILE, "fs.file-max")]
)
def test_a_server_that_cannot_copy_itself_says_what_is_short(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def short(_server: ForkServer, _files: Sequence[int]) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ForkServer, "ask", short)
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(ShortageError, match=words):
        server.make_worker()
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_server_ends_with_its_parent() -> None:
    """Also when the parent has no time to end it."""
    server = ForkServer()
    pid = started(server)
    server.start().close()
    deadline = time.monotonic() + PATIENCE_S
    while "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.close()
