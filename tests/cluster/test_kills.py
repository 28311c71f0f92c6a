"""Random kills on a cluster, while a batch and a long job run: every output has the bytes of an undisturbed run."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.cluster.farm import (
    TOKEN,
    Farm,
    end,
    environment,
    family,
    is_alive,
    open_farm,
    raylet,
    wait_until,
    wait_until_gone,
    words_of,
)
from tests.cluster.test_benches import ROOM
from tests.support.command import CLEAN_ENVIRONMENT, Command, record_once

pytestmark = pytest.mark.attack

ROUNDS: Final = 20
KINDS: Final = ("node", "worker", "command", "agent", "head")
NAMES: Final = ("room-1", "room-2", "room-3")
LONGEST_DELAY_S: Final = 8.0
MOST_RUNS: Final = 5


@dataclass
class Night:
    """Rooms that are made by a batch, and one that is made on benches, on a cluster that is made anew with its head."""

    farm: Farm
    folder: Path
    expected: dict[str, bytes] = field(default_factory=dict)

    @property
    def command(self) -> Command:
        return self.farm.command

    def start(self, words: list[str | Path]) -> subprocess.Popen[str]:
        python = self.command.root / ".venv" / "bin" / "python"
        variables = CLEAN_ENVIRONMENT | {"RAY_AUTH_TOKEN": TOKEN}
        if "--cluster" in words and words[0] == "owtmix":
            variables["OWT_TEST_AWAY_FIRST"] = "1"
        return subprocess.Popen(
            [python, "-P", "-m", *words], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def batch(self) -> list[str | Path]:
        options = ("--cluster", self.farm.address, "--grace", "0", "--longest-pause", "0.2")
        return ["owtmix.batch", *options, "--state", self.folder / "state", self.folder / "rooms"]

    def job(self, name: str, *options: str) -> list[str | Path]:
        cfg = self.folder / "rooms" / name / "cfg.json"
        state = self.folder / "state"
        return ["owtmix", "--json", "--state", state, "--workers", "1", *options, cfg]

    def output(self, name: str) -> Path:
        return self.folder / "rooms" / name / "out" / f"{name}.mp4"

    def clear(self) -> None:
        for name in NAMES:
            self.output(name).unlink(missing_ok=True)
        for path in (self.folder / "rooms").glob("results*.jsonl"):
            path.unlink()

    def strike(self, kind: str, process: subprocess.Popen[str], random: Random) -> None:
        """Kill something, if it is there."""
        if kind == "command":
            process.kill()
        elif kind == "agent":
            for pid in family(process.pid):
                if "owtmix.workers.cluster" in words_of(pid):
                    end(pid)
        elif kind == "node":
            self.farm.kill(random.choice(self.farm.nodes))
        elif kind == "worker":
            workers = [pid for node in self.farm.nodes for pid in family(raylet(node)) if is_busy(pid)]
            for pid in random.sample(workers, min(1, len(workers))):
                end(pid)
        else:
            for pid in family(self.farm.cluster.head_node.all_processes["gcs_server"][0].process.pid):
                end(pid)
            end(raylet(self.farm.cluster.head_node))

    def mend(self, kind: str) -> None:
        if kind == "head":
            with environment():
                self.farm.cluster.shutdown()
            self.farm = open_farm(self.command)
        self.farm.mend()


def is_busy(pid: int) -> bool:
    """Whether it is a process of the cluster with a task or a bench."""
    title = words_of(pid)[0]
    return title.startswith("ray::") and not title.endswith("Agent") and "IDLE" not in title


@pytest.fixture
def night(command: Command, tmp_path: Path) -> Iterator[Night]:
    night = Night(open_farm(command), tmp_path)
    for name in NAMES:
        ROOM.write(tmp_path / "rooms" / name, name, record_once)
        process = night.start(night.job(name))
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        night.expected[name] = night.output(name).read_bytes()
    yield night
    with environment():
        night.farm.cluster.shutdown()


@pytest.mark.timeout(1800)
def test_random_kills_change_nothing(night: Night) -> None:
    random = Random(7)
    counts: Counter[str] = Counter()
    for number in range(ROUNDS):
        kind, is_batch = KINDS[number % len(KINDS)], number // len(KINDS) % 2 == 0
        night.clear()
        night.farm.mend()
        wait_until(partial(is_idle, night), "the cluster has nothing left to do")
        begun_s = time.monotonic()
        words: Callable[[], list[str | Path]] = night.batch if is_batch else lambda: on_benches(night)
        process = night.start(words())
        wait_until(partial(is_at_work, night, process), "it works")
        time.sleep(random.uniform(0, LONGEST_DELAY_S) if is_batch else random.uniform(0, LONGEST_DELAY_S / 4))
        was_over = process.poll() is not None
        own = family(process.pid)
        night.strike(kind, process, random)
        out, said = process.communicate(timeout=180)
        wait_until_gone(own, "nothing of it runs")
        runs, why = 1, ""
        while process.returncode != 0:
            counts["runs that did not end with 0"] += 1
            assert runs < MOST_RUNS, (kind, process.returncode, out, said)
            runs += 1
            why += f"; status {process.returncode}: {(said.splitlines() or ['nothing'])[-1]}"
            night.mend(kind if runs == 2 else "")
            process = night.start(words())
            out, said = process.communicate(timeout=180)
        if kind == "head" and runs == 1:
            night.mend(kind)
        names = NAMES if is_batch else NAMES[:1]
        for name in names:
            assert night.output(name).read_bytes() == night.expected[name], (kind, name)
        if is_batch:
            (results,) = (night.folder / "rooms").glob("results*.jsonl")
            entries = [json.loads(line) for line in results.read_text().splitlines()]
            done = Counter(entry["id"] for entry in entries if entry["state"] == "done")
            assert set(done.values()) == {1}, entries
            assert len(done) == len(NAMES)
            counts["attempts lost"] += sum(entry["state"] == "lost" for entry in entries)
        counts[f"{kind}{', after the end' if was_over else ''}"] += 1
        what = "a batch" if is_batch else "a job on benches"
        print(f"{number + 1:2}: {kind} killed under {what}: {runs} runs, {time.monotonic() - begun_s:.1f} s{why}")  # noqa: T201 - it takes long
    print(dict(counts))  # noqa: T201 - the figures


def on_benches(night: Night) -> list[str | Path]:
    return night.job(NAMES[0], "--cluster", night.farm.address, "--benches", "2")


def is_at_work(night: Night, process: subprocess.Popen[str]) -> bool:
    """Whether a node runs something for it, or it has ended."""
    if process.poll() is not None:
        return True
    return not is_idle(night)


def is_idle(night: Night) -> bool:
    """Whether no node runs anything."""
    return not any(is_busy(pid) for node in night.farm.nodes for pid in family(raylet(node)) if is_alive(pid))
