"""A Ray cluster on this machine: a head without processors, and simulated nodes, each with one."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.storage.swift_server import KEY_ID, SECRET
from tests.support.command import Command

TOKEN: Final = "0123456789abcdef" * 4
PATIENCE_S: Final = 60.0
"""How long anything may take on a busy machine."""
_PLACE: Final[dict[str, Any]] = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray replaces 127.0.0.1 otherwise
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_period_ms": "1000",  # a node that is dead is noticed after 5 s, not after 15
    "RAY_health_check_failure_threshold": "3",
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
}


@dataclass
class Farm:
    """The cluster, and the installation of the tool that its nodes use."""

    cluster: Any
    command: Command
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    @property
    def environment(self) -> dict[str, str]:
        return {"RAY_AUTH_TOKEN": TOKEN}

    def add(self, root: Path | None = None, cpus: float = 1, **options: Any) -> Any:
        """Start a node whose installation is in ``root``."""
        with environment(PYTHONPATH=str(root or self.command.root)):
            node = self.cluster.add_node(num_cpus=cpus, **_PLACE, **options)
        self.nodes.append(node)
        return node

    def mend(self, count: int = 2) -> None:
        """Have ``count`` ordinary nodes."""
        self.nodes = [node for node in self.nodes if is_alive(raylet(node))]
        while len(self.nodes) < count:
            self.add()

    def kill(self, node: Any) -> None:
        """Kill a node with all its processes, as when a machine loses its power."""
        for pid in family(raylet(node)):
            end(pid)
        self.nodes.remove(node)
        with suppress(Exception):
            self.cluster.remove_node(node, allow_graceful=False)

    def node_of(self, pid: int) -> Any:
        """The node of a process."""
        return next(node for node in self.nodes if pid in family(raylet(node)))

    def name(self, node: Any) -> str:
        return f"{socket.gethostname()}-{node.node_id[:8]}"


def open_farm(command: Command) -> Farm:
    """Start a cluster without nodes; close it with ``cluster.shutdown``."""
    with environment(PYTHONPATH=str(command.root)):
        # Ray reads its environment when it is imported.
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - only the extra has it

        head = {"num_cpus": 0, "include_dashboard": False, **_PLACE}
        return Farm(Cluster(initialize_head=True, head_node_args=head), command)


@contextmanager
def environment(**more: str) -> Iterator[None]:
    """The environment with which the processes of a cluster are started."""
    before = dict(os.environ)
    os.environ.update(_ENVIRONMENT | more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def family(top: int) -> list[int]:
    """A process and all that it has started, whatever group they are in."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [top]
    for pid in found:
        found += [other for other, parent in parents.items() if parent == pid]
    return found


def end(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def words_of(pid: int) -> list[str]:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def running(text: str) -> list[int]:
    """The processes with ``text`` in their command line, without this one."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and is_alive(pid) and text in " ".join(words_of(pid))]


def wait_until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    until_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until_s, f"not within {patience_s:g} s: {what}"
        time.sleep(0.05)


def wait_until_gone(pids: Iterable[int], what: str) -> None:
    """Wait until none of the processes runs any more."""
    left = list(pids)
    wait_until(lambda: not any(map(is_alive, left)), what, 10)
