"""Batches in which the batch, a job or a worker is killed at random points: same bytes, nothing twice, nothing left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.support.command import CLEAN_ENVIRONMENT, record_once
from tests.support.people import COLOURS, Take
from tests.support.processes import descendants
from tests.support.room import Room

KILLS: Final = 20
SEED: Final = 20261127
LENGTHS_MS: Final = (9000, 4000, 6000, 5000)
GONE_S: Final = 10.0


def _room(queue: Path, number: int, length_ms: int) -> None:
    takes = tuple(
        Take(f"user{person}_1", 0, length_ms, COLOURS[person], 440, end_ms=length_ms, size=(320, 180))
        for person in range(2)
    )
    Room(takes, (640, 360)).write(queue / f"room-{number}", f"night-{number}", record_once)


def _batch(queue: Path, state: Path, results: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "owtmix.batch", "--quiet", "--json", "--longest-pause", "0"]
    command += ["--state", str(state), "--results", str(results), str(queue)]
    return subprocess.Popen(
        command,
        env=CLEAN_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _running(state: Path) -> list[int]:
    """The processes of jobs with this state folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(state).encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def _victims(batch: int, kind: str) -> list[int]:
    if kind == "batch":
        return [batch]
    jobs = _children(batch)
    return jobs if kind == "job" else [other for job in jobs for other in descendants(job)]


def _kill(process: subprocess.Popen[str], kind: str, chance: random.Random) -> list[int]:
    """Kill one process of a kind at a random point; returns the workers of then, or nothing where there was no such."""
    time.sleep(chance.uniform(0.3, 4.0))
    victims, workers = _victims(process.pid, kind), _victims(process.pid, "worker")
    if not victims or process.poll() is not None:
        return []
    with suppress(ProcessLookupError):
        os.kill(chance.choice(victims), signal.SIGKILL)
        return [process.pid, *workers]
    return []


def _outputs(queue: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(queue.glob("*/out/*.mp4"))}


@pytest.mark.timeout(900)
def test_kills_change_no_byte_and_nothing_is_made_twice(tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    for number, length_ms in enumerate(LENGTHS_MS):
        _room(queue, number, length_ms)
    with _batch(queue, tmp_path / "undisturbed", tmp_path / "undisturbed.jsonl") as process:
        said, errors = process.communicate()
    assert (process.returncode, json.loads(said)["done"]) == (0, len(LENGTHS_MS)), errors
    expected = _outputs(queue)
    assert len(expected) == len(LENGTHS_MS)

    chance, hit = random.Random(SEED), 0
    for round_ in range(3 * KILLS):
        if hit == KILLS:
            break
        for path in queue.glob("*/out/*.mp4"):
            path.unlink()
        hit += _killed_round(queue, tmp_path / f"round-{round_}", chance, expected)
    assert hit == KILLS


def _killed_round(queue: Path, folder: Path, chance: random.Random, expected: dict[str, bytes]) -> bool:
    """One batch with a kill, and as many further ones as it takes; whether something was killed."""
    kind = chance.choice(["batch", "job", "worker"])
    state, results = folder / "state", folder / "results.jsonl"
    folder.mkdir()
    with _batch(queue, state, results) as process:
        known = _kill(process, kind, chance)
        said, errors = process.communicate()
    _wait_until_nothing_runs(state, known)
    if kind != "batch":
        assert (process.returncode, json.loads(said)["done"]) == (0, len(expected)), errors
    with _batch(queue, state, results) as process:
        said, errors = process.communicate()
    assert (process.returncode, json.loads(said)["done"]) == (0, len(expected)), errors
    assert _outputs(queue) == expected, kind
    done = [entry["id"] for entry in map(json.loads, results.read_text().splitlines()) if entry["state"] == "done"]
    assert sorted(done) == sorted(set(done)), "a room was made again after it was done"
    assert sorted(path.name for path in queue.glob("*/out/*")) == sorted(expected)
    return bool(known)


def _wait_until_nothing_runs(state: Path, known: list[int]) -> None:
    until_s = time.monotonic() + GONE_S
    while running := [*_running(state), *(pid for pid in known if Path(f"/proc/{pid}/cmdline").exists())]:
        assert time.monotonic() < until_s, f"these are left: {running}"
        time.sleep(0.1)
