"""The agent: a process that speaks to a Ray cluster for its parent. The only module that imports Ray.

Ray ends a process that has lost its cluster, and unpickles what nodes send. Both happen here: the parent goes on
without the agent, and reads lines of JSON from it (``cluster_link.py``). What runs on a node is a *target*,
``module:name``: as a task a function, as a bench a class with ``refused``, ``do`` and ``close``. It takes bytes and
yields frames, each a line of JSON and perhaps bytes for a file after it.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import write_whole
from owtmix.workers.cluster_address import is_loopback
from owtmix.workers.process_flags import end_with

NODES_EVERY_S: Final = 2.0
ALIVE_EVERY_S: Final = 10.0
LONGEST_WHY: Final = 500
"""In characters."""

Message = dict[str, Any]


def main() -> None:
    """Serve the parent, whose process id is the first argument, on the cluster at the address in the second one."""
    parent, address = int(sys.argv[1]), sys.argv[2]
    end_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all; the parent decides
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # libraries may print
    asyncio.run(_serve(_Agent(pipe), address))


async def _serve(agent: _Agent, address: str) -> None:
    try:
        ray = _connect(address)
    except BaseException as error:  # noqa: BLE001 - Ray raises what it likes, SystemExit too
        agent.tell("refused", kind=_refusal(error), why=_one_line(error))
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ray has set its own
    agent.use(ray)
    agent.tell("connected", **agent.nodes())
    watching = [asyncio.create_task(agent.watch_nodes()), asyncio.create_task(agent.live())]
    try:
        async for line in _lines():
            agent.obey(json.loads(line))
    finally:
        for task in watching:
            task.cancel()
        await agent.close()


def _connect(address: str) -> Any:
    """Ray, connected to the cluster."""
    import ray  # noqa: PLC0415 - only the extra has it

    place: dict[str, Any] = {"_node_ip_address": "127.0.0.1"} if is_loopback(address) else {}
    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False, **place)
    return ray


async def _lines() -> AsyncIterator[bytes]:
    """The parent's lines, until it closes the pipe or ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 30)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while line := await reader.readline():
        yield line


class _Agent:
    """Does what the parent says, and tells it what comes of that.

    ``run``, ``hire``, ``ask`` and ``drop`` name what they are about by an id that the parent chose.
    """

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._ray: Any = None
        self._streams: dict[str, Any] = {}
        self._benches: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._following: set[asyncio.Task[None]] = set()

    def use(self, ray: Any) -> None:
        self._ray = ray
        self._task = ray.remote(max_retries=0, num_returns="streaming")(_do_task)
        self._bench = ray.remote(max_restarts=0, max_task_retries=0)(_Bench)

    def tell(self, event: str, **values: Any) -> None:
        line = memoryview(json.dumps({"event": event} | values).encode() + b"\n")
        while line:
            line = line[self._pipe.write(line) :]

    def nodes(self) -> Message:
        """The nodes that are alive, by name, with what they have."""
        found = {}
        for node in self._ray.nodes():
            if node["Alive"]:
                name = f"{node['NodeManagerHostname']}-{node['NodeID'][:8]}"
                self._names[name] = node["NodeID"]
                has = node["Resources"]
                found[name] = {
                    "cpus": has.get("CPU", 0),
                    "gpus": has.get("GPU", 0),
                    "memory_bytes": has.get("memory", 0),
                }
        return {"nodes": found}

    async def watch_nodes(self) -> None:
        before = self.nodes()
        while True:
            await asyncio.sleep(NODES_EVERY_S)
            # While the head does not answer, this takes long.
            if (now := await asyncio.to_thread(self.nodes)) != before:
                self.tell("nodes", **now)
                before = now

    async def live(self) -> None:
        """Tell now and then that nothing is stuck."""
        while True:
            self.tell("alive")
            await asyncio.sleep(ALIVE_EVERY_S)

    def obey(self, order: Message) -> None:
        number = order["id"]
        match order["do"]:
            case "run":
                made = self._task.options(name=order["name"], **self._options(order))
                self._streams[number] = made.remote(order["target"], base64.b64decode(order["data"]))
                self._follow(self._pass_on(number, None))
            case "hire":
                made = self._bench.options(scheduling_strategy="SPREAD", **self._options(order))
                self._benches[number] = made.remote(order["target"], base64.b64decode(order["data"]))
                self._follow(self._greet(number))
            case "ask":
                ask = self._benches[number].do.options(num_returns="streaming")
                self._streams[number] = ask.remote(base64.b64decode(order["data"]))
                self._follow(self._pass_on(number, Path(order["file"])))
            case "drop":
                self._drop(number)

    def _options(self, order: Message) -> dict[str, Any]:
        options = {name: order[name] for name in ("num_cpus", "num_gpus", "memory") if order.get(name)}
        avoid = [self._names[name] for name in order.get("avoid", ()) if name in self._names]
        # Without a processor of its own, a call still runs on any node.
        return {"num_cpus": 0, **options} | (
            {"label_selector": {"ray.io/node-id": f"!in({','.join(avoid)})"}} if avoid else {}
        )

    def _follow(self, what: Any) -> None:
        following = asyncio.create_task(what)
        self._following.add(following)
        following.add_done_callback(self._following.discard)

    async def _greet(self, number: str) -> None:
        try:
            frame = await self._benches[number].ready.remote()
            self.tell("ready", id=number, text=bytes(frame).decode())
        except Exception as error:  # noqa: BLE001 - Ray raises what it likes
            self._lose(number, error)

    async def _pass_on(self, number: str, file: Path | None) -> None:
        """Tell the frames of a call as they come, and its end."""
        try:
            async for reference in self._streams[number]:
                text, _, data = bytes(await reference).partition(b"\n")
                if data and file:
                    await asyncio.to_thread(_write, file, data)
                self.tell("frame", id=number, text=text.decode())
            self.tell("ended", id=number)
        except Exception as error:  # noqa: BLE001 - Ray raises what it likes
            self._lose(number, error)
        finally:
            self._streams.pop(number, None)

    def _lose(self, number: str, error: Exception) -> None:
        if self._ray.is_initialized():
            kind, why = _loss(self._ray.exceptions, error)
            self.tell("lost", id=number, kind=kind, why=why)

    def _drop(self, number: str) -> None:
        """End a task, which may still clean up, or a bench at once."""
        with suppress(Exception):  # it has ended
            if bench := self._benches.pop(number, None):
                self._ray.kill(bench)
            elif stream := self._streams.get(number):
                self._ray.cancel(stream)

    async def close(self) -> None:
        """Let benches clean up; what still runs then is ended by Ray when this process is gone."""
        closing = [bench.close.remote() for bench in self._benches.values()]
        with suppress(Exception):
            await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), 1.0)
        self._ray.shutdown()


def _refusal(error: BaseException) -> str:
    """What is wanting for a connection: a ``token``, the ``right-token``, a ``cluster``; or ``another`` thing."""
    chain: BaseException | None = error
    text = ""
    while chain:
        text += f"{type(chain).__name__} {chain} "
        chain = chain.__cause__ or chain.__context__
    if "no authentication token was found" in text:
        return "token"
    if "Could not find any running Ray instance" in text:
        return "cluster"
    return "right-token" if "InvalidAuthToken" in text or "AuthenticationError" in text else "another"


def _write(file: Path, data: bytes) -> None:
    """Write a piece. It may stand where a worker may write: what lies there already is not followed."""
    write_whole(file, data)
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _loss(of: Any, error: Exception) -> tuple[str, str]:
    """What was lost, and why: its ``node``, ``worker`` or ``memory``; or it was ``cancelled``, or ``failed``."""
    workers = of.WorkerCrashedError, of.ActorDiedError, of.ActorUnavailableError, of.ObjectLostError
    known: tuple[tuple[Any, str, str], ...] = (
        (of.TaskCancelledError, "cancelled", "it was stopped"),
        (of.OutOfMemoryError, "memory", "Ray ended its process, since the memory of the node was short"),
        ((of.NodeDiedError, of.LocalRayletDiedError), "node", "its node was lost"),
        (workers, "worker", "its process on the cluster was killed, or its node was lost"),
    )
    found = ((kind, why) for classes, kind, why in known if isinstance(error, classes))
    return next(found, ("failed", _one_line(error)))


def _one_line(error: BaseException) -> str:
    """The last line of a message that says something; Ray's have tracebacks, and colours."""
    if isinstance(error, SystemExit):  # Ray's handler of SIGTERM gives the number of the signal
        number = error.code if isinstance(error.code, int) else 0
        known = {found.value: found.name for found in signal.Signals}
        return f"its agent was stopped by {known[number]}" if number in known else "Ray ended its agent"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines and "Traceback" in str(error) else " ".join(lines)
    return (text or type(error).__name__)[:LONGEST_WHY]


def _target(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _frame(kind: str, value: object) -> bytes:
    return json.dumps([kind, value]).encode()


def _node() -> str:
    import ray  # noqa: PLC0415 - only the extra has it

    return str(ray.get_runtime_context().get_node_id())


def _do_task(target: str, data: bytes) -> Iterator[bytes]:
    """On a node: say which one it is, and do the task."""
    yield _frame("node", _node())
    yield from _target(target)(data)


class _Bench:
    """On a node: a bench."""

    def __init__(self, target: str, data: bytes) -> None:
        self._made = _target(target)(data)

    def ready(self) -> bytes:
        return json.dumps({"node": _node(), "refused": self._made.refused}).encode()

    def do(self, data: bytes) -> Iterator[bytes]:
        yield from self._made.do(data)

    def close(self) -> None:
        self._made.close()


if __name__ == "__main__":
    main()
