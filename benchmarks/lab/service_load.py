"""How many requests owt-server answers in a second, at which cost, how long they take, and whether its memory is flat.

Of five requests one acquires a job, one changes a running job and three ask for one, by clients that keep their
connections, each of which sends its next request when the last one is answered. All runs on this machine, the clients
too: processor time, of which each is told, says what a caller on another machine would leave to the server.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.server import LiveServer, serving, wait_until

_FEWEST_LIVE: Final = 3
_CHANGES: Final = 4_000
"""Of a live job, about: it takes no more than 5,000."""
_MOST_ACQUIRED: Final = 9_000
"""The service takes 10,000 jobs. What is acquired after so many is asked for again, by its RequestId."""
_LIMITS: Final = "max_jobs = 10000\nmin_free_mib = 0"
_HEAD: Final = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STARTING_S: Final = 5.0
"""How long the processes of rooms take to start, which is no cost of a request."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def main(words: Sequence[str]) -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab service_load", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="100000 shows whether memory is flat")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; as many as can be without")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), _LIMITS) as server:
        live = max(_FEWEST_LIVE, -(-options.requests // (5 * _CHANGES)))
        jobs = [_begun(server, number) for number in range(live)]
        load = _Load(_requests(jobs), options.requests, options.rate, lambda: _memory_mib(server.pid))
        wait_until(lambda: len(server.processes("room")) == live, "all rooms are received")
        time.sleep(_STARTING_S)
        pids = [server.pid, *server.processes("room"), os.getpid()]
        before_s = [_cpu_s(pid) for pid in pids]
        asyncio.run(load.run(server.address, options.clients))
        spent_s = [_cpu_s(pid) - before for pid, before in zip(pids, before_s, strict=True)]
        for job in jobs:
            server.ask("job.stop", {"JobId": job})
    taken_ms = sorted(load.taken_ms)
    print(f"{len(taken_ms):,} requests by {options.clients} clients: {len(taken_ms) / load.spent_s:.0f} a second")
    p50_ms, p99_ms = statistics.median(taken_ms), taken_ms[int(len(taken_ms) * 0.99)]
    print(f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, the longest {taken_ms[-1]:.1f} ms")
    own_us, *rooms_us, clients_us = (1e6 * seconds / len(taken_ms) for seconds in spent_s)
    print(
        f"processor time of a request: server {own_us:.0f} us, its {live} rooms {sum(rooms_us):.0f} us, "
        f"clients {clients_us:.0f} us"
    )
    print(
        f"memory: {', '.join(f'{mib:.1f}' for mib in load.memory_mib)} MiB, at the start and each tenth of the requests"
    )


def _begun(server: LiveServer, number: int) -> str:
    answer = server.ask("job.acquire", {"AppId": "load", "RoomId": f"live{number}", "Mode": 0, "ChannelType": 0})
    job = str(answer["Data"]["JobId"])
    server.ask("job.start", {"JobId": job}, {"JobConfig": {"IdleTime": 86_400}})
    return job


@dataclass
class _Load:
    """Requests, and what they took: milliseconds of each, MiB of the server at the start and each tenth."""

    requests: Iterator[bytes]
    count: int
    rate: float
    memory: Callable[[], float]
    taken_ms: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    begun_s: float = 0.0
    spent_s: float = 0.0

    async def run(self, address: str, clients: int) -> None:
        """Send all of them, by ``clients``."""
        loop = asyncio.get_running_loop()
        host, port = address.split(":")
        self.memory_mib.append(self.memory())
        self.begun_s = time.perf_counter()
        made = [await loop.create_connection(lambda: _Client(self), host, int(port)) for _ in range(clients)]
        await asyncio.gather(*(client.ended for _, client in made))
        self.spent_s = time.perf_counter() - self.begun_s

    def take(self, taken_ms: float) -> None:
        """A request was answered."""
        self.taken_ms.append(taken_ms)
        if len(self.taken_ms) % max(1, self.count // 10) == 0:
            self.memory_mib.append(self.memory())

    def early_s(self) -> float:
        """How long the next request has to wait for its time."""
        return self.begun_s + len(self.taken_ms) / self.rate - time.perf_counter() if self.rate else 0.0


class _Client(asyncio.Protocol):
    """A connection that is kept. Its own cost is small, for the server has the same processor."""

    def __init__(self, load: _Load) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._load = load
        self._received = b""
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not length or len(body) < int(length[1]):
            return
        self._received = b""
        self._load.take(1000 * (time.perf_counter() - self._sent_s))
        answer = json.loads(body)
        if answer["RetCode"]:
            self._end(RuntimeError(answer["Message"]))
        elif len(self._load.taken_ms) >= self._load.count:
            self._end()
        elif (early_s := self._load.early_s()) > 0:
            asyncio.get_running_loop().call_later(early_s, self._send)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server ended the connection"))

    def _send(self) -> None:
        self._sent_s = time.perf_counter()
        self._transport.write(next(self._load.requests))

    def _end(self, error: Exception | None = None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error) if error else self.ended.set_result(None)
            self._transport.close()


def _requests(jobs: Sequence[str]) -> Iterator[bytes]:
    """New jobs, changes of running ones, and questions about them."""
    chance = random.Random(1)
    queries = [_request("job.query", {"JobId": job}, {}) for job in jobs]
    looks = [{"MixedVideoLayout": layout, "Gap": gap} for layout in range(1, 6) for gap in range(9)]
    changes = [_request("job.mixer.update", {"JobId": job}, {"MixerConfig": look}) for job in jobs for look in looks]
    places = (
        {"RequestId": f"r{number}", "AppId": "load", "RoomId": f"room{number}", "Mode": 0, "ChannelType": 0}
        for number in itertools.cycle(range(_MOST_ACQUIRED))
    )
    while True:
        kind = chance.randrange(5)
        yield (
            _request("job.acquire", next(places), {}) if kind == 0 else chance.choice(changes if kind == 1 else queries)
        )


def _request(action: str, internal: object, data: object) -> bytes:
    body = json.dumps({"Version": "1.0", "Action": action, "Internal": internal, "Data": data}).encode()
    return _HEAD % len(body) + body


def _cpu_s(pid: int) -> float:
    """Seconds that a process has had of processors."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
