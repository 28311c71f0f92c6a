"""The runner of a cluster, by what the cluster tells; ``tests/cluster`` has a real one."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import ClusterError
from owtmix.batch import cluster
from owtmix.batch.attempt import Attempt, BatchJob, Ended, JobProgress
from owtmix.batch.cluster import RayRunner
from owtmix.batch.command import Program
from owtmix.batch.estimates import Estimates
from owtmix.batch.node_run import Order
from owtmix.batch.outside import LARGEST, MOST
from owtmix.workers.cluster_link import Node

NODES = {"big": Node(4, 2, 8e9), "small": Node(1, 0, 2e9), "head": Node(0, 0, 1e9)}


@dataclass
class Link:
    """A cluster that does what a test tells."""

    nodes: dict[str, Node] = field(default_factory=lambda: dict(NODES))
    is_gone: bool = False
    runs: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    coming: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pipe = os.pipe()

    def fileno(self) -> int:
        return self.pipe[0]

    def run(self, number: str, name: str, target: str, data: bytes, **options: Any) -> None:
        assert target == "owtmix.batch.node_run:run"
        self.runs.append({"id": number, "name": name, "order": pickle.loads(data)} | options)

    def drop(self, number: str) -> None:
        self.dropped.append(number)

    def node_name(self, node_id: str) -> str:
        return node_id

    def events(self) -> list[dict[str, Any]]:
        came, self.coming = self.coming, []
        self.is_gone = self.is_gone or any(event["event"] == "gone" for event in came)
        return came

    def close(self) -> None:
        self.is_gone = True

    def tell(self, event: str, number: int = 1, **values: Any) -> None:
        os.write(self.pipe[1], b".")
        self.coming.append({"event": event, "id": str(number)} | values)

    def frame(self, kind: str, value: object, number: int = 1) -> None:
        self.tell("frame", number, text=json.dumps([kind, value]))


@pytest.fixture
def link() -> Iterator[Link]:
    link = Link()
    yield link
    for end in link.pipe:
        os.close(end)


def runner_on(link: Link, gpus: float = 0.0) -> RayRunner:
    return RayRunner(link, Program(()), gpus)  # type: ignore[arg-type]  # what it uses of a link


def attempt(name: str = "room", **values: Any) -> Attempt:
    job = BatchJob(name, Path("/rooms/room/cfg.json"), "key")
    return Attempt(job, 1, Path("/nowhere/room.log"), **values)


def end_of(runner: RayRunner) -> Ended:
    (ended,) = runner.wait(0)
    return ended


END = {
    "exit_status": 0,
    "report": {"output": "/out"},
    "error": "",
    "wall_s": 12.5,
    "cpu_s": 11.0,
    "peak_mib": 300,
    "log": "",
}


def test_hosts_are_nodes_with_room(link: Link) -> None:
    assert set(runner_on(link).hosts) == {"big", "small"}
    assert set(runner_on(link, gpus=0.5).hosts) == {"big"}


def test_a_few_more_than_fit_wait_in_the_cluster(link: Link) -> None:
    runner = runner_on(link)
    count = 0
    while runner.can_begin(attempt(str(count))):
        runner.begin(attempt(str(count)))
        count += 1
    assert count == 5 + 2
    assert runner.busy_places == 0
    link.frame("node", "big")
    runner.wait(0)
    assert runner.busy_places == 1


@pytest.mark.parametrize(("gpus", "count"), [(0.5, 4), (0.25, 4), (0.75, 2), (1.0, 2), (2.0, 1)])
def test_shares_of_cards_bound_how_many_fit(link: Link, gpus: float, count: int) -> None:
    runner = runner_on(link, gpus)
    assert runner._fitting(NODES["big"]) == count


def test_what_the_nodes_lack_is_said_once(link: Link, caplog: pytest.LogCaptureFixture) -> None:
    without, with_cards, none = {"a": Node(4, 0, 1e10)}, {"a": Node(4, 1, 1e10)}, {"head": Node(0, 1, 1e9)}
    runner = runner_on(link, gpus=0.5)
    for nodes in (without, without, with_cards, none, none, without):
        link.nodes = nodes
        runner.wait(0)
    cards = "no node of the cluster has the cards for --gpus 0.5: waiting for one"
    assert caplog.messages == [cards, "no node of the cluster can run jobs: waiting for one", cards]


def test_what_an_attempt_takes(link: Link) -> None:
    runner = runner_on(link, gpus=0.25)
    runner.begin(attempt(memory_bytes=10**9, avoid=frozenset({"small"})))
    runner.begin(attempt(device="cpu", memory_bytes=10**12))
    runner.begin(attempt(exclusive=True))
    takes = [{key: run.get(key) for key in ("num_cpus", "num_gpus", "memory", "avoid")} for run in link.runs]
    assert [run["order"].attempt.device for run in link.runs] == [None, "cpu", None]
    assert takes == [
        {"num_cpus": 1, "num_gpus": 0.25, "memory": 10**9, "avoid": ["small"]},
        {"num_cpus": 1, "num_gpus": None, "memory": None, "avoid": []},
        {"num_cpus": 4, "num_gpus": 0.25, "memory": None, "avoid": []},
    ]


def test_without_cards_all_compose_on_the_cpu(link: Link) -> None:
    runner = runner_on(link)
    runner.begin(attempt())
    runner.begin(attempt(device="cuda"))
    assert [run["order"].attempt.device for run in link.runs] == ["cpu", "cuda"]


def test_what_waits_for_a_node_that_was_lost_is_lost(link: Link) -> None:
    runner = runner_on(link)
    runner.begin(attempt("alone", exclusive=True))
    runner.begin(attempt("small"))
    del link.nodes["big"]
    link.tell("nodes")
    assert end_of(runner).attempt.job.id == "alone"
    assert link.dropped == ["1"]
    link.nodes.clear()
    link.tell("nodes")
    assert runner.wait(0) == []  # new ones may come


def test_no_more_run_than_are_wanted(link: Link) -> None:
    runner = RayRunner(link, Program(()), jobs=2)  # type: ignore[arg-type]  # what it uses of a link
    for name in ("a", "b"):
        assert runner.can_begin(attempt(name))
        runner.begin(attempt(name))
    assert not runner.can_begin(attempt("c"))


def test_hosts_that_are_to_be_avoided_have_no_room(link: Link) -> None:
    runner = runner_on(link)
    assert not runner.can_begin(attempt(avoid=frozenset({"big", "small"})))
    assert runner.can_begin(attempt(avoid=frozenset({"big"})))


def test_a_run_that_ends(link: Link, tmp_path: Path) -> None:
    runner = runner_on(link)
    begun = Attempt(BatchJob("room", Path("/cfg"), "key"), 1, tmp_path / "log", device="cpu")
    runner.begin(begun)
    assert runner.progress() == {"room": JobProgress("waiting for a node")}
    link.frame("node", "big")
    link.frame("progress", {"stage": "composing", "percent": 40.0, "left_s": None})
    assert runner.wait(0) == []
    assert runner.progress() == {"room": JobProgress("composing", 40.0, None)}
    link.frame("end", END | {"log": "one line\nand \x1b[2J another\n"})
    link.tell("ended")
    assert end_of(runner) == Ended(begun, 0, {"output": "/out"}, "", "big", 12.5, 11.0, 300)
    assert (tmp_path / "log").read_text().splitlines()[0] == "one line"
    assert "\x1b" not in (tmp_path / "log").read_text()
    assert runner.progress() == {}


@pytest.mark.parametrize(
    ("kind", "status"),
    [("node", None), ("worker", None), ("memory", -9), ("cancelled", 130), ("failed", 1)],
)
def test_what_only_the_cluster_tells_of(link: Link, kind: str, status: int | None) -> None:
    runner = runner_on(link)
    runner.begin(attempt())
    link.frame("node", "small")
    link.tell("lost", kind=kind, why="it was")
    ended = end_of(runner)
    assert (ended.exit_status, ended.node, ended.error, ended.report) == (status, "small", "it was", None)


@pytest.mark.parametrize(
    "text", ["no JSON", "7", "[]", '["end", {}]', '["progress", 3]', '["other", 1]', "[" * 100_000]
)
def test_frames_that_make_no_sense_are_left_out(link: Link, text: str) -> None:
    runner = runner_on(link)
    runner.begin(attempt())
    link.tell("frame", text=text)
    assert runner.wait(0) == []
    link.tell("ended")
    assert end_of(runner).exit_status == 1


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("name", "said", "taken"),
    [
        ("wall_s", HUGE, LARGEST),
        ("wall_s", "NaN", 0.0),
        ("wall_s", "-5", 0.0),
        ("cpu_s", "Infinity", 0.0),
        ("cpu_s", '"soon"', 0.0),
        ("peak_mib", HUGE, MOST),
        ("peak_mib", "Infinity", 0),
        ("peak_mib", "-1", 0),
        ("exit_status", "1e400", 1),  # as an end that was not understood
        ("exit_status", HUGE, 1),
        ("exit_status", "256", 1),
        ("exit_status", "null", 1),
    ],
)
def test_numbers_of_a_node_are_bounded(link: Link, name: str, said: str, taken: float) -> None:
    runner = runner_on(link)
    runner.begin(attempt())
    end = json.dumps(END | {name: "here"}).replace('"here"', said)
    link.tell("frame", text=f'["end", {end}]')
    link.tell("ended")
    ended = end_of(runner)
    assert getattr(ended, name) == taken
    estimates = Estimates()
    estimates.learn_memory(1 << 20, ended.peak_mib)
    assert estimates.memory_bytes(1 << 20) < 1 << 60


def test_events_of_others_are_left_out(link: Link) -> None:
    runner = runner_on(link)
    for event in ("ended", "lost", "frame"):
        link.tell(event, 77, kind="node", why="", text="")
    assert runner.wait(0) == []


def test_when_the_cluster_is_gone_all_is_lost_and_the_batch_ends(link: Link) -> None:
    runner = runner_on(link)
    for name in ("a", "b"):
        runner.begin(attempt(name))
    link.tell("gone")
    assert [(ended.attempt.job.id, ended.exit_status) for ended in runner.wait(0)] == [("a", None), ("b", None)]
    assert not runner.can_begin(attempt())
    with pytest.raises(ClusterError, match="run the same command again"):
        runner.wait(0)


def test_runs_that_do_not_stop_count_as_stopped(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = runner_on(link)
    runner.begin(attempt())
    runner.stop()
    assert link.dropped == ["1"]
    assert runner.wait(0) == []
    later_s = time.monotonic() + cluster.STOPPING_S
    monkeypatch.setattr("owtmix.batch.cluster.time.monotonic", lambda: later_s)
    assert end_of(runner).exit_status == 130


def test_the_command_on_a_node() -> None:
    here = Order(Program((), workers=2), attempt()).command()
    assert here[1:4] == ["-P", "-m", "owtmix"]
    assert f"--parent={os.getpid()}" in here
    assert "--no-wait" not in here  # nobody else sees the outbox of the node
    shared = Order(Program(("owt-main",), Path("/shared/state")), attempt()).command()
    assert shared[0] == "owt-main"
    assert "--no-wait" in shared
