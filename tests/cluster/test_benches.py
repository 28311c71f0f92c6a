"""One job whose chunks are made on many nodes: the bytes are those of one machine, whatever becomes of the nodes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.farm import Farm, end, family, is_alive, wait_until, wait_until_gone
from tests.e2e.stored import lay_out as lay_out_in_store
from tests.storage.conftest import Service
from tests.storage.fault_proxy import FaultProxy, is_content
from tests.support import people
from tests.support.command import CLEAN_ENVIRONMENT, Command, record_once
from tests.support.people import Take
from tests.support.room import Room

pytestmark = pytest.mark.serial

ROOM = Room(
    takes=(
        Take("anna_1", 0, 12_000, people.COLOURS[0], 440),
        Take("ben_1", 500, 11_000, people.COLOURS[1], 660, container="webm"),
    ),
    size=(320, 180),
)
CHUNKS = 6


@dataclass(frozen=True)
class Job:
    """A job of the installation, with its own state folder."""

    command: Command
    job_file: Path
    state: Path
    output: Path

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        words = ("--state", str(self.state), "--workers", "1", "--json", "--verbose", *options)
        variables = CLEAN_ENVIRONMENT | {"OWT_TEST_AWAY_FIRST": "1"} | environment
        return subprocess.Popen(
            [self.command.path, *words, "--output", str(self.output), str(self.job_file)],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def made(self, process: subprocess.Popen[str]) -> Made:
        out, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return Made(json.loads(out), said, self.output.read_bytes())


@dataclass(frozen=True)
class Made:
    result: dict[str, Any]
    said: str
    data: bytes

    @property
    def away(self) -> int:
        """How many chunks benches have made."""
        (count,) = re.findall(r"(\d+) of \d+ chunks were made on the cluster", self.said)
        return int(count)


@pytest.fixture(scope="session")
def expected(command: Command, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The output as one machine makes it."""
    folder = tmp_path_factory.mktemp("alone")
    job = lay_out(command, folder)
    process = subprocess.Popen(
        [
            *(command.path, "--state", folder / "state", "--workers", "1", "--json"),
            *("--output", job.output, job.job_file),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    made = job.made(process)
    assert made.result["chunks"] == {"total": CHUNKS, "reused": 0}
    return made.data


def lay_out(command: Command, folder: Path) -> Job:
    job_file = ROOM.write(folder / "room", "long-room", record_once)
    return Job(command, job_file, folder / "state", folder / "long-room.mp4")


@pytest.fixture
def job(command: Command, tmp_path: Path) -> Job:
    return lay_out(command, tmp_path)


def on(farm: Farm, benches: int = 2) -> tuple[str, ...]:
    return "--cluster", farm.address, "--benches", str(benches)


def holding(farm: Farm) -> Path:
    hold = farm.command.root / "hold"
    hold.touch()
    return hold


def held(farm: Farm, but: int = 0) -> int:
    """The process of a bench that holds its chunk, another one than ``but``."""

    def found() -> list[int]:
        pids = (int(path.name.removeprefix("held-")) for path in farm.command.root.glob("held-*"))
        return [pid for pid in pids if pid != but and is_alive(pid)]

    wait_until(found, "a bench has a chunk")
    return found()[0]


def test_benches_make_the_same_bytes(farm: Farm, job: Job, expected: bytes) -> None:
    made = job.made(job.start(*on(farm), **farm.environment))
    assert made.data == expected
    assert made.away >= 1
    assert made.result["warnings"] == []


def test_nodes_and_workers_that_are_lost_midway_change_nothing(farm: Farm, job: Job, expected: bytes) -> None:
    hold, home = holding(farm), farm.command.root / "hold-home"
    home.touch()
    process = job.start(*on(farm), **farm.environment)
    first = held(farm)
    farm.kill(farm.node_of(first))
    end(held(farm, but=first))  # the other bench has a chunk by now, or gets one
    hold.unlink()
    home.unlink()
    made = job.made(process)
    assert made.data == expected
    assert made.said.count("goes to another worker") >= 2, made.said


def test_a_bench_that_says_nothing_is_given_up(farm: Farm, job: Job, expected: bytes) -> None:
    settings = job.state.parent / "owt.toml"
    text = (farm.command.root / "conf" / "owt.toml").read_text()
    settings.write_text(re.sub(r"(?m)^worker_silence_s = .*", "worker_silence_s = 2", text))
    holding(farm)
    made = job.made(job.start(*on(farm, 1), OWT_CONF=str(settings), **farm.environment))
    assert made.data == expected
    assert made.away == 0
    assert "said nothing for 2 s" in made.said


def test_a_bench_of_another_build_is_refused(farm: Farm, job: Job, expected: bytes, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(farm.command.root / "owtmix", other / "owtmix", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "owtmix" / "render" / "video_track.py").open("a") as module:
        module.write("# another build\n")
    node = farm.add(other, resources={"other": 1}, cpus=4)
    name = farm.name(node)
    try:
        made = job.made(job.start(*on(farm, 6), **farm.environment))
    finally:
        farm.kill(node)
    assert made.data == expected
    (warning,) = made.result["warnings"]
    assert warning.startswith(f"the node {name} does not help: it has another build of owtmix")


def test_a_job_that_is_stopped_and_killed_leaves_nothing_and_goes_on(farm: Farm, job: Job, expected: bytes) -> None:
    hold = holding(farm)
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = job.start(*on(farm), **farm.environment)
        own, bench = family(process.pid), held(farm)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert process.returncode == (130 if number == signal.SIGTERM else -number), said
        wait_until_gone([*own, bench], "nothing of it runs")
    hold.unlink()
    assert job.made(job.start(*on(farm), **farm.environment)).data == expected


def test_each_node_fetches_recordings_with_its_own_keys(
    farm: Farm, job: Job, expected: bytes, service: Service, proxy: FaultProxy, tmp_path: Path
) -> None:
    settings = farm.command.root / "conf" / "owt.toml"
    before = settings.read_text()
    text, found = re.subn(r"(?m)^own_endpoints = .*", f'own_endpoints = ["{proxy.endpoint}"]', before)
    assert found == 1
    stored = lay_out_in_store(farm.command, service, proxy, tmp_path / "stored", "long-room", ROOM)
    settings.write_text(text)
    try:
        made = job.made(replace(job, job_file=stored.job_file).start(*on(farm), **farm.environment))
    finally:
        settings.write_text(before)
    assert made.data == expected
    assert made.away >= 1, made.said
    assert "made here" not in made.said
    whole = [request for request in proxy.requests if is_content(request) and "0-anna_1" in request.path]
    assert len(whole) >= 2
    wait_until(lambda: not list((farm.command.root / "work").glob(".scratch/*")), "what was fetched is removed", 10)


def test_a_wrong_token_is_refused(farm: Farm, job: Job) -> None:
    process = job.start(*on(farm), RAY_AUTH_TOKEN="f" * 64, RAY_NUM_REDIS_GET_RETRIES="1")
    out, said = process.communicate(timeout=90)
    assert process.returncode == 1, said
    assert "the cluster refuses the token" in json.loads(out)["error"]["message"]


def test_a_missing_token_is_refused(farm: Farm, job: Job, tmp_path: Path) -> None:
    process = job.start(*on(farm), HOME=str(tmp_path))
    out, said = process.communicate(timeout=90)
    assert process.returncode == 1, said
    assert "the cluster is not used without its token" in json.loads(out)["error"]["message"]
