"""The parent's end of the agent (``cluster.py``): orders go to it, events come from it. Never blocks on it."""

from __future__ import annotations

import base64
import json
import os
import queue
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from owtmix.base.errors import ClusterError, Interrupted
from owtmix.workers.child_environment import child_environment
from owtmix.workers.cluster_address import is_loopback

LONGEST_EVENT: Final = 128 << 20
"""In bytes, of a line that the agent sends."""
CONNECT_S: Final = 60.0
"""The longest time until the cluster answers."""
SILENT_S: Final = 120.0
"""An agent that has said nothing for so long is stuck."""
CLOSE_S: Final = 2.0
"""The longest time that the agent gets for its own end."""
_LOOK_S: Final = 0.2
"""While connecting, after so long a request to stop is noticed."""
_KEPT: Final = re.compile(r"RAY_\w+|HOME|USER|LOGNAME|TMPDIR|HOSTNAME|SSL_CERT_\w+|GRPC_\w+|no_proxy|NO_PROXY")
"""Variables that Ray needs; the token is one of them. The access keys of stores are none."""
_SET: Final = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
_USUAL: Final = {"RAY_NUM_REDIS_GET_RETRIES": "5"}
"""So many seconds Ray tries to connect, by default; a wrong token, too."""

MISSING: Final = "a cluster needs the extra ray, which is not installed: pip install 'owtmix[ray]'"
NO_TOKEN: Final = (
    "the cluster is not used without its token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, or write it to "  # noqa: S105
    "~/.ray/auth_token (docs/cluster.md)"
)
WRONG_TOKEN: Final = (
    "the cluster refuses the token: it must be the one with which its nodes were started (docs/cluster.md)"  # noqa: S105
)
NO_CLUSTER: Final = (
    "no cluster runs on this machine: make it a node with ray start, or give the address of a cluster (docs/cluster.md)"
)
_REFUSALS: Final = {"token": NO_TOKEN, "right-token": WRONG_TOKEN, "cluster": NO_CLUSTER}


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive, and what it has for tasks."""

    cpus: float
    gpus: float
    memory_bytes: float


Event = Mapping[str, Any]
"""What the agent tells: its ``event`` is connected, nodes, alive, ready, frame, ended, lost or gone."""


class ClusterLink:
    """A connection to a cluster, until the block is left: then all that runs there for it ends.

    Args:
        address: of the cluster; ``auto`` is the one that this machine is a node of.
        python: runs the agent.
        clock: gives the time in seconds.
        is_stopped: whether somebody asked for an end while it connects.

    Raises:
        Interrupted: ``is_stopped`` said so.
        ClusterError: the extra is not installed, the cluster cannot be reached, or it does not accept the token.
    """

    def __init__(
        self,
        address: str,
        python: str = sys.executable,
        clock: Callable[[], float] = time.monotonic,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        if find_spec("ray") is None:
            raise ClusterError(MISSING)
        if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
            raise ClusterError("RAY_AUTH_MODE must be token: whoever reaches a cluster without one runs code on it")
        self._address = address
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        self.nodes: dict[str, Node] = {}
        self.is_gone = False
        self._clock = clock
        self._looked_s = clock()
        self._silent_s = 0.0
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the arguments are ours
                [python, "-P", "-m", "owtmix.workers.cluster", str(os.getpid()), address],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",  # Ray puts the working directory on the module path of all nodes
                env=_environment(address),
            )
        except OSError as error:
            self._close_wake()
            raise ClusterError(f"the agent of the cluster cannot be started: {error.strerror}") from error
        assert self._process.stdin
        assert self._process.stdout
        for serve, pipe in ((self._write, self._process.stdin), (self._read, self._process.stdout)):
            threading.Thread(target=serve, args=(pipe,), name="cluster", daemon=True).start()
        try:
            self._wait_until_connected(is_stopped)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """A descriptor that can be read when there are events."""
        return self._wake

    def run(self, number: str, name: str, target: str, data: bytes, **options: Any) -> None:
        """Have a task done once, as soon as a node has room for it; ``options`` say what it takes."""
        self._order("run", number, name=name, target=target, data=_text(data), **options)

    def hire(self, number: str, target: str, data: bytes, avoid: Collection[str] = (), **options: Any) -> None:
        """Have a bench made as soon as a node has room for it."""
        self._order("hire", number, target=target, data=_text(data), avoid=sorted(avoid), **options)

    def ask(self, number: str, data: bytes, file: str) -> None:
        """Give a bench something to do; what it makes is written to ``file``."""
        self._order("ask", number, data=_text(data), file=file)

    def drop(self, number: str) -> None:
        """End a task or a bench."""
        self._order("drop", number)

    def events(self) -> list[Event]:
        """What has come since; does not wait. Called at least once a second."""
        with suppress(BlockingIOError):
            while os.read(self._wake, 1 << 12):
                pass
        found: list[Event] = []
        with suppress(queue.Empty):
            while True:
                event = self._events.get_nowait()
                if "nodes" in event:
                    self.nodes = {name: Node(**has) for name, has in event["nodes"].items()}
                self.is_gone = self.is_gone or event["event"] == "gone"
                found.append(event)
        self._end_if_stuck(bool(found))
        return found

    def node_name(self, node_id: str) -> str:
        """The name of the node with this id, as ``nodes`` has it."""
        return next((name for name in self.nodes if name.endswith(f"-{node_id[:8]}")), node_id[:8])

    def close(self) -> None:
        """End the agent, and with it all that runs on the cluster for it."""
        self._orders.put(None)
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.is_gone = True

    def _end_if_stuck(self, has_spoken: bool) -> None:
        """End an agent that says nothing any more; time in which this process was stopped is no silence."""
        now_s = self._clock()
        passed_s, self._looked_s = min(now_s - self._looked_s, 1.0), now_s
        self._silent_s = 0.0 if has_spoken else self._silent_s + passed_s
        if self._silent_s > SILENT_S:
            self._process.kill()  # the end of its pipe is told as any other

    def _order(self, what: str, number: str, **values: Any) -> None:
        self._orders.put(json.dumps({"do": what, "id": number} | values).encode() + b"\n")

    def _write(self, pipe: BinaryIO) -> None:
        with suppress(OSError), pipe:
            while (line := self._orders.get()) is not None:
                view = memoryview(line)
                while view:
                    view = view[pipe.write(view) :]

    def _read(self, pipe: BinaryIO) -> None:
        """Take in events; one that is too long or is none ends it all."""
        buffered = b""
        with suppress(OSError, ValueError, RecursionError), pipe:
            while data := pipe.read(1 << 16):
                *lines, rest = data.split(b"\n")
                for line in lines:
                    self._notice(_event(buffered + line))
                    buffered = b""
                buffered += rest
                if len(buffered) > LONGEST_EVENT:
                    break
        self._notice({"event": "gone"})

    def _notice(self, event: Event) -> None:
        self._events.put(event)
        with suppress(OSError):  # it is full, so that whoever waits wakes up, or closed
            os.write(self._waker, b".")

    def _wait_until_connected(self, is_stopped: Callable[[], bool]) -> None:
        until_s = self._clock() + CONNECT_S
        while True:
            select.select([self._wake], (), (), min(_LOOK_S, max(0.0, until_s - self._clock())))
            events = self.events()
            if is_stopped():  # before the agent, which may have had the same signal, is blamed
                raise Interrupted("stopped while it connected to the cluster")
            for event in events:
                match event["event"]:
                    case "connected":
                        return
                    case "refused" | "gone":
                        raise ClusterError(_why(self._address, event))
            if self._clock() >= until_s:
                raise ClusterError(f"the cluster at {self._address} does not answer within {CONNECT_S:.0f} s")

    def _close_wake(self) -> None:
        for end in (self._wake, self._waker):
            os.close(end)

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            self._close_wake()


def _event(line: bytes) -> Event:
    """What a line of the agent tells.

    Raises:
        ValueError: it makes no sense.
    """
    event = json.loads(line)
    if not (isinstance(event, dict) and isinstance(event.get("event"), str)):
        raise ValueError(line)  # noqa: TRY004 - as for what is no JSON
    return event


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _environment(address: str) -> dict[str, str]:
    """The environment of the agent."""
    kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    if is_loopback(address):  # otherwise Ray replaces it by the address of an interface
        kept["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    return _USUAL | child_environment() | kept | _SET


def _why(address: str, event: Event) -> str:
    """Why there is no connection, in words."""
    why, kind = str(event.get("why", "")), str(event.get("kind"))
    if kind in _REFUSALS:
        return _REFUSALS[kind]
    return f"the cluster at {address} cannot be used: {why or 'its agent has ended'}"
