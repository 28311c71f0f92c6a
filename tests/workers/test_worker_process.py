"""Workers are copies of a fork server, which knows nothing, holds nothing, and may be killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import ShortageError
from owtmix.workers import worker_process
from owtmix.workers.base import DeathKind, Limits
from owtmix.workers.fork_server import REQUEST, WORKER_NAME
from owtmix.workers.local import WorkerPool
from owtmix.workers.worker_process import ForkServer
from tests.workers.tasks import TESTS, Creep, Describe, Echo, Pid

PATIENCE_S = 20.0


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


def test_neither_the_server_nor_workers_know_the_environment(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    pid = started(server)
    with pool(server) as made:
        (outcome,) = made.run([Describe("1")])
        assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert "canary" not in str(outcome.value)


def test_nobody_can_look_into_the_memory_of_a_worker_that_is_not_confined_yet(server: ForkServer) -> None:
    """A sibling that was taken over would write into it."""
    process = server.make_worker()
    try:
        owner = Path(f"/proc/{process.pid}/environ").stat().st_uid
    finally:
        process.remove()
    assert owner == 0, "the files of a process that others of its user may read are that user's"


def test_workers_hold_no_file_of_others(server: ForkServer, tmp_path: Path) -> None:
    """Not even one that every new process would inherit; nor the server's own, nor each other's pipes."""
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        with pool(server) as made:
            for outcome in made.run([Describe("1"), Describe("1")]):
                others = [name for name in outcome.value["files"] if not name.startswith(("pipe:", "/dev/null"))]
                assert [name for name in others if "secret" in name or "socket" in name] == []
                assert len({name for name in outcome.value["files"] if name.startswith("pipe:")}) == 2


def test_a_server_that_says_nothing_is_a_shortage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "STARTING_S", 0.5)
    with (
        ForkServer(python=program(tmp_path, "exec sleep 3600")) as server,
        pytest.raises(ShortageError, match="says nothing for"),
    ):
        server.make_worker()


def test_workers_have_a_name_of_their_own(server: ForkServer) -> None:
    with pool(server) as made:
        (outcome,) = made.run([Pid()])
        assert Path(f"/proc/{outcome.value}/comm").read_text().strip() == WORKER_NAME


def test_a_server_that_was_killed_is_replaced(server: ForkServer) -> None:
    pid = started(server)
    with pool(server) as made:
        list(made.run([Pid()]))
        os.kill(pid, signal.SIGKILL)
        outcomes = list(made.run([Echo("a"), Echo("b")], alone=True))
    assert sorted(outcome.value for outcome in outcomes) == ["a", "b"]


def test_workers_end_with_their_server_and_are_not_to_blame(server: ForkServer) -> None:
    pid = started(server)

    def kill(*_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    with pool(server) as made:
        deaths = [outcome.death for outcome in made.run([Creep(), Creep()], kill)]
    assert [death and death.kind for death in deaths] == [DeathKind.KILLED] * 2
    assert all(death and death.is_shortage for death in deaths)


def test_a_server_that_is_killed_again_and_again_is_tried_again_and_again(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whatever the machine is short of: up to seven times, with pauses."""
    monkeypatch.setattr("owtmix.workers.alone.pause_after", lambda _: 0.0)
    kills: list[int] = []
    run = worker_process._run

    def run_and_kill(*arguments: Any) -> subprocess.Popen[bytes]:
        process = run(*arguments)
        if len(kills) < 5:
            kills.append(process.pid)
            process.kill()
        return process

    monkeypatch.setattr(worker_process, "_run", run_and_kill)
    with pool(server) as made:
        assert [outcome.value for outcome in made.run([Echo("a")])] == ["a"]
    assert len(kills) == 5


def test_a_server_that_always_ends_is_a_shortage(tmp_path: Path) -> None:
    broken = program(tmp_path, "exit 1")
    with ForkServer(python=broken) as server, pytest.raises(ShortageError, match="ends before it has started one"):
        server.make_worker()


def test_a_server_that_is_stopped_is_replaced(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("owtmix.workers.alone.pause_after", lambda _: 0.0)
    monkeypatch.setattr(worker_process, "STARTING_S", 5.0)
    os.kill(started(server), signal.SIGSTOP)
    with pool(server) as made:
        assert [outcome.value for outcome in made.run([Echo("a")])] == ["a"]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EAGAIN, "ulimit -u"), (errno.EMFILE, "ulimit -n"), (errno.ENFILE, "fs.file-max")]
)
def test_a_server_that_cannot_copy_itself_says_what_is_short(tmp_path: Path, number: int, words: str) -> None:
    answers = (
        f"import socket, struct; control = socket.socket(fileno=0); control.recv(99);"
        f"control.send(struct.pack('=iid', 0, {number}, 0.0))"
    )
    with ForkServer(python=program(tmp_path, f'exec {sys.executable} -c "{answers}"')) as server:
        server.start()
        before = sorted(Path("/proc/self/fd").iterdir())
        with pytest.raises(ShortageError, match=words):
            server.make_worker()
        assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_server_that_lacks_memory_says_so(tmp_path: Path) -> None:
    limited = program(tmp_path, f'ulimit -v 60000; exec {sys.executable} "$@"')
    with ForkServer(["numpy"], limited) as server, pytest.raises(ShortageError):
        server.make_worker()


def test_a_server_ends_with_its_parent() -> None:
    """Also when the parent has no time to end it."""
    program = "import time; from owtmix.workers.worker_process import ForkServer as F; s = F(); s.start();"
    program += "print(s._server._process.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_workers_end_also_when_nobody_waits_for_the_answer(server: ForkServer) -> None:
    """As when a signal stops the program while it asks: no worker is left, and none for others to wait for."""
    process = server.make_worker()
    asked = server._server
    assert asked
    asked._control.send(REQUEST.pack(process.pid, 0.2))
    server.close()
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_worker_without_pipes_is_none(server: ForkServer) -> None:
    """It would take the next descriptors for them: those of the server."""
    server.start()
    asked = server._server
    assert asked
    assert asked._ask(0, 0.0)[:2] == (0, errno.EMFILE)


def test_how_a_worker_ended_is_known(server: ForkServer) -> None:
    left, killed = server.make_worker(), server.make_worker()
    with pytest.raises(TimeoutError):
        left.wait(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    found = killed.wait(PATIENCE_S)
    assert found
    assert found.status == -signal.SIGKILL
    for process in (left, killed):
        process.remove()
    assert not Path(f"/proc/{left.pid}").exists()


def program(folder: Path, text: str) -> str:
    """A program in place of Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)
