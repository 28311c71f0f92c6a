"""Twelve rooms of 20 to 60 seconds: one after the other, and as one batch.

Prints jobs per minute of both ways, which alternate in one run, their ratio, and how busy the processors were to the
last ten seconds of the batch: CPU time of its processes over the time of all processors that it may use.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from owtmix.workers.limits import available_cores
from tests.support.people import COLOURS, Take, record
from tests.support.room import Room

LENGTHS_S: Final = (38, 20, 56, 29, 47, 23, 60, 34, 26, 51, 42, 31)
"""In an order that is neither the longest first nor the shortest."""
PEOPLE: Final = 3
SIZE: Final = (1280, 720)
ROUNDS: Final = 3
LOOK_EVERY_S: Final = 0.2
LAST_S: Final = 10.0
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Ran:
    """A way to run all rooms: its seconds, how busy it kept the processors until the last ten, and to the end."""

    took_s: float
    busy: float
    busy_to_end: float


def main(words: Sequence[str]) -> None:
    """Make the rooms, and measure both ways."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab rooms", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"how often ({ROUNDS})")
    rounds = parser.parse_args(words).rounds
    with tempfile.TemporaryDirectory() as folder:
        queue = Path(folder) / "queue"
        jobs = [_make_room(queue, number, length_s) for number, length_s in enumerate(LENGTHS_S)]
        ways: dict[str, list[Ran]] = {"one after the other": [], "as a batch": []}
        outputs: list[Mapping[str, bytes]] = []
        for number in range(rounds):
            state = Path(folder) / f"state-{number}"
            ways["one after the other"].append(_watch(_sequence(jobs, state / "a")))
            outputs.append(_outputs(queue))
            ways["as a batch"].append(_watch([_batch(queue, state)]))
            outputs.append(_outputs(queue))
    for name, runs in ways.items():
        per_minute = 60 * len(jobs) / median(run.took_s for run in runs)
        spread = ", ".join(f"{run.took_s:.1f}" for run in runs)
        print(f"{name:20} {per_minute:5.1f} jobs a minute ({spread} s)")
    one, batch = ([run.took_s for run in runs] for runs in ways.values())
    busy = ways["as a batch"]
    print(f"batch / one after the other: {median(one) / median(batch):.2f} times the jobs a minute")
    print(f"{available_cores()} processors busy to the last {LAST_S:.0f} s: {median(run.busy for run in busy):.3f}")
    print(f"{available_cores()} processors busy to the end: {median(run.busy_to_end for run in busy):.3f}")
    print(f"the same bytes in all {len(outputs)} runs: {all(found == outputs[0] for found in outputs)}")


def _make_room(queue: Path, number: int, length_s: int) -> Path:
    """A room of a few people who are there all the time; all have the same recording."""
    recorded: dict[int, Path] = {}

    def record_once(take: Take, path: Path) -> None:
        if not recorded:
            record(take, path)
            recorded[0] = path
        else:
            os.link(recorded[0], path)

    takes = tuple(
        Take(
            f"user{person}_1", 0, 1000 * length_s, COLOURS[person], 440, end_ms=1000 * length_s, size=(640, 360), fps=15
        )
        for person in range(PEOPLE)
    )
    return Room(takes, SIZE, fps=15).write(queue / f"room-{number:02}", f"night-{number:02}", record_once)


def _sequence(jobs: Sequence[Path], state: Path) -> list[list[str]]:
    options = ["--quiet", "--fresh", "--device", "cpu", "--state", str(state)]
    return [[sys.executable, "-m", "owtmix", *options, str(job)] for job in jobs]


def _batch(queue: Path, state: Path) -> list[str]:
    options = ["--quiet", "--state", str(state / "b"), "--results", str(state / "results.jsonl")]
    return [sys.executable, "-m", "owtmix.batch", *options, str(queue)]


def _watch(commands: Sequence[Sequence[str]]) -> Ran:
    """Run commands one after the other, and look at their CPU time."""
    seen: list[tuple[float, float]] = []
    before_s, since_s = 0.0, time.monotonic()
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        used_s = 0.0
        while process.poll() is None:
            used_s = max(used_s, _used_s(process.pid))
            seen.append((time.monotonic() - since_s, before_s + used_s))
            time.sleep(LOOK_EVERY_S)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
        before_s += used_s
    took_s, cpu_s = seen[-1]
    end = max((at for at in seen if at[0] <= took_s - LAST_S), default=seen[-1])
    cores = available_cores()
    return Ran(time.monotonic() - since_s, end[1] / (end[0] * cores), cpu_s / (took_s * cores))


def _used_s(pid: int) -> float:
    """CPU seconds of a process, of all below it, and of those among them that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    own_s = sum(map(int, fields[11:15])) * _TICK_S
    return own_s + sum(_used_s(int(child)) for child in children)


def _outputs(queue: Path) -> Mapping[str, bytes]:
    """Every output, which is removed."""
    found = {}
    for path in sorted(queue.glob("*/out/*")):
        found[path.name] = path.read_bytes()
        path.unlink()
    if len(found) != len(LENGTHS_S):
        raise SystemExit(f"there are {len(found)} outputs: {json.dumps(sorted(found))}")
    return found
