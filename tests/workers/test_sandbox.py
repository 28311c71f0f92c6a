"""What a child is denied: secrets, the network, files of the parent, new privileges, a life of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from owtmix.workers.base import Limits
from owtmix.workers.local import WorkerPool
from tests.conftest import kernel_isolates
from tests.workers.tasks import Describe, FreeMemory, MeasureMemory

DEADLINE_S = 20


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def describe(port: int = 1) -> dict[str, Any]:
    warnings: list[str] = []
    with WorkerPool(1, Limits(1 << 30, 60), warnings.append) as executor:
        (outcome,) = executor.run([Describe(str(port))])
    assert outcome.value, outcome
    found: dict[str, Any] = outcome.value
    return found


def test_the_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OWT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "HOME", "http_proxy", "LD_PRELOAD_CANARY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    environment = describe()["environment"]
    assert "canary" not in str(environment)
    assert environment["TZ"] == "Asia/Shanghai"


def test_the_memory_of_pictures_goes_back_to_the_system() -> None:
    """What recordings of many sizes leave behind would grow over a long job."""
    with WorkerPool(1, Limits(1 << 30, 60), print) as executor:
        idle, after = (outcome.value for outcome in executor.run([MeasureMemory(), FreeMemory()]))
    assert after < idle + 16


def test_nobody_can_be_reached(listener: socket.socket) -> None:
    if not kernel_isolates():
        pytest.skip("the kernel refuses a network of its own")
    assert describe(listener.getsockname()[1])["connection"]
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_no_file_of_the_parent_is_inherited(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        files = describe()["files"]
    assert {
        name for name in files if name != "/dev/null" and not re.fullmatch(r"pipe:\[\d+\]|/proc/\d+/fd", name)
    } == set()
    assert len(files) < 10


def test_no_privileges_are_gained_and_the_system_ends_children_first() -> None:
    found = describe()
    assert re.search(r"^NoNewPrivs:\t1$", found["status"], re.MULTILINE)
    assert int(found["oom_score_adj"]) >= 500
    override, read_search = 1 << 1, 1 << 2
    for held in re.findall(r"^Cap(?:Prm|Eff|Inh|Bnd):\t([0-9a-f]+)$", found["status"], re.MULTILINE):
        assert int(held, 16) | override | read_search == override | read_search


def test_the_parent_s_secrets_cannot_be_read() -> None:
    if not kernel_isolates():
        pytest.skip("the kernel refuses a network of its own")
    assert describe()["parent"] == "PermissionError"


def test_a_folder_of_recordings_is_no_place_for_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "av", "pydantic", "owtmix"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path.resolve()) not in describe()["path"]


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with two stuck children, in a group of its own, and the children's ids."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.workers.parent"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    children = [int(process.stdout.readline()) for _ in range(2)]
    yield process, children
    process.kill()
    process.communicate()


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_children_die_with_their_parent_however_it_dies(parent: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, children = parent
    assert all(map(is_running, children))
    process.kill()
    process.wait()
    deadline = time.monotonic() + DEADLINE_S
    while any(map(is_running, children)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signals_to_the_whole_group_are_the_parents_alone(
    parent: tuple[subprocess.Popen[str], list[int]], number: signal.Signals
) -> None:
    process, children = parent
    os.killpg(process.pid, number)
    for pid in children:
        pending = re.search(r"^SigIgn:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        assert pending
        assert int(pending[1], 16) >> (number - 1) & 1
    assert all(map(is_running, children))
    assert process.poll() is None


def test_the_parent_is_out_of_reach() -> None:
    """Also for root: with its powers a child could read the parent's secrets, and go back to its network."""
    found = subprocess.run([sys.executable, "-c", REACH], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["refused"] * 3, found


REACH = """
import ctypes, os
from owtmix.workers.sandbox import confine
parent = os.getppid()
confine(parent)
libc = ctypes.CDLL(None)
for reach in (
    lambda: open(f"/proc/{parent}/environ", "rb").read(1),
    lambda: open(f"/proc/{parent}/mem", "rb").read(1),
    lambda: libc.setns(os.open(f"/proc/{parent}/ns/net", os.O_RDONLY), 0) and int("refused"),
):
    try:
        reach()
        print("reached")
    except (OSError, ValueError):
        print("refused")
"""
