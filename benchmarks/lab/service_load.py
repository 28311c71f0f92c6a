"""How many requests owt-server answers in a second, how long they take, and whether its memory stays flat.

Of five requests one acquires a job, one changes a running job and three ask for one, by clients that keep their
connections, each of which sends its next request when the last one is answered. All runs on this machine, the clients
too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.server import LiveServer, serving

_LIVE: Final = 3
_LIMITS: Final = "max_jobs = 10000\nmin_free_mib = 0"
_HEAD: Final = b"POST / HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def main(words: Sequence[str]) -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab service_load", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; as many as can be without")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), _LIMITS) as server:
        jobs = [_begun(server, number) for number in range(_LIVE)]
        memory, taken_ms, spent_s = asyncio.run(_load(server, jobs, options.requests, options.clients, options.rate))
        for job in jobs:
            server.ask("job.stop", {"JobId": job})
    taken_ms.sort()
    print(f"{len(taken_ms):,} requests by {options.clients} clients: {len(taken_ms) / spent_s:.0f} a second")
    p50_ms, p99_ms = statistics.median(taken_ms), taken_ms[int(len(taken_ms) * 0.99)]
    print(f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, the longest {taken_ms[-1]:.1f} ms")
    print(f"memory: {', '.join(f'{mib:.1f}' for mib in memory)} MiB, at each tenth of the requests")


def _begun(server: LiveServer, number: int) -> str:
    answer = server.ask("job.acquire", {"AppId": "load", "RoomId": f"live{number}", "Mode": 0, "ChannelType": 0})
    job = str(answer["Data"]["JobId"])
    server.ask("job.start", {"JobId": job}, {"JobConfig": {"IdleTime": 86_400}})
    return job


async def _load(
    server: LiveServer, jobs: Sequence[str], count: int, clients: int, rate: float
) -> tuple[list[float], list[float], float]:
    """MiB of the server at each tenth, milliseconds of each request, and seconds of all."""
    taken_ms: list[float] = []
    memory = [_memory_mib(server)]
    host, port = server.url.removeprefix("http://").split(":")
    begun_s = time.perf_counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        chance = random.Random(number)
        while len(taken_ms) < count:
            if rate and (early_s := begun_s + len(taken_ms) / rate - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            body = _request(chance, jobs)
            sent_s = time.perf_counter()
            writer.write(_HEAD % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            taken_ms.append(1000 * (time.perf_counter() - sent_s))
            if answer["RetCode"]:
                raise RuntimeError(answer["Message"])
            if len(taken_ms) % (count // 10) == 0:
                memory.append(_memory_mib(server))
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return memory, taken_ms, time.perf_counter() - begun_s


def _request(chance: random.Random, jobs: Sequence[str]) -> bytes:
    """A new job, a change of a running one, or a question about it."""
    kind = chance.randrange(5)
    if kind == 0:
        place = {"AppId": "load", "RoomId": f"room{chance.randrange(10**6)}", "Mode": 0, "ChannelType": 0}
        return _document("job.acquire", {"RequestId": "0", **place}, {})
    if kind == 1:
        data = {"MixerConfig": {"MixedVideoLayout": chance.randint(1, 5), "Gap": chance.randrange(9)}}
        return _document("job.mixer.update", {"JobId": chance.choice(jobs)}, data)
    return _document("job.query", {"JobId": chance.choice(jobs)}, {})


def _document(action: str, internal: object, data: object) -> bytes:
    return json.dumps({"Version": "1.0", "Action": action, "Internal": internal, "Data": data}).encode()


def _memory_mib(server: LiveServer) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
