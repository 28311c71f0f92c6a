"""What becomes of tasks that benches take, by what the cluster tells; without a cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from owtmix.workers.base import Outcome, TaskReporter
from owtmix.workers.benches import MOST_HIRES, Benches, Shift


@dataclass(frozen=True)
class Double:
    """A task whose value is a number."""

    result: ClassVar[Any] = int
    number: int
    track: Path = Path("/nowhere/track")

    @property
    def name(self) -> str:
        return f"task {self.number}"

    def run(self, reporter: TaskReporter) -> int:
        raise NotImplementedError


class Queue:
    """Hands out tasks, and keeps what is put back."""

    def __init__(self, count: int) -> None:
        self.tasks = [Double(number) for number in range(count)]
        self.back: list[tuple[int, bool]] = []

    def take_away(self, worker: int) -> Double | None:
        assert worker >= 0
        return self.tasks.pop(0) if self.tasks else None

    def put_back(self, task: Double, *, at_home: bool) -> None:
        self.back.append((task.number, at_home))


@dataclass
class Link:
    """A cluster that does what a test tells."""

    is_gone: bool = False
    hired: list[tuple[str, list[str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    coming: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pipe = os.pipe()

    def fileno(self) -> int:
        return self.pipe[0]

    def hire(self, number: str, target: str, data: bytes, avoid: Any = (), **options: Any) -> None:
        assert (target, data, options) == ("module:Bench", b"kit", {"num_cpus": 1})
        self.hired.append((number, sorted(avoid)))

    def ask(self, number: str, data: bytes, file: str) -> None:
        assert data
        assert file == "/nowhere/track"
        self.asked.append(number)

    def drop(self, number: str) -> None:
        self.dropped.append(number)

    def node_name(self, node_id: str) -> str:
        return f"node-{node_id}"

    def events(self) -> list[dict[str, Any]]:
        came, self.coming = self.coming, []
        self.is_gone = self.is_gone or any(event["event"] == "gone" for event in came)
        return came

    def tell(self, event: str, number: int = 0, **values: Any) -> None:
        self.coming.append({"event": event, "id": f"bench-{number}"} | values)

    def ready(self, number: int = 0, refused: str = "") -> None:
        self.tell("ready", number, text=json.dumps({"node": str(number), "refused": refused}))

    def say(self, kind: str, value: object, number: int = 0) -> None:
        self.tell("frame", number, text=json.dumps([kind, value]))


@dataclass
class Site:
    link: Link
    queue: Queue
    benches: Benches
    warnings: list[str]
    damaged: list[str]
    progress: list[tuple[int, float]]
    shift: Shift

    def turn(self, passed_s: float = 0.0) -> list[Outcome[Any]]:
        return list(self.benches.turn(self.queue, self.advance, passed_s))

    def advance(self, task: Double, done_s: float) -> None:
        self.progress.append((task.number, done_s))


def set_up(count: int = 1, tasks: int = 3) -> Site:
    warnings: list[str] = []
    damaged: list[str] = []
    link, queue = Link(), Queue(tasks)
    benches = Benches(
        link,  # type: ignore[arg-type]  # what it uses of a link
        count,
        "module:Bench",
        b"kit",
        silence_s=10.0,
        is_good=lambda value: value >= 0,
        warn=warnings.append,
        on_warning=damaged.append,
    )
    site = Site(link, queue, benches, warnings, damaged, [], None)  # type: ignore[arg-type]  # set below
    site.shift = benches.serve(queue, site.advance)
    return site


@pytest.fixture
def site() -> Iterator[Site]:
    site = set_up()
    yield site
    for end in site.link.pipe:
        os.close(end)


def begin(site: Site) -> None:
    """The bench has the first task."""
    site.link.ready()
    assert site.turn() == []
    assert site.link.asked == ["bench-0"]
    site.link.say("begun", None)


def test_a_bench_that_is_not_there_yet_has_no_task(site: Site) -> None:
    assert site.turn() == []
    assert site.link.hired == [("bench-0", [])]
    assert not site.link.asked
    assert not site.benches.is_busy


def test_what_a_bench_makes_is_an_outcome(site: Site) -> None:
    begin(site)
    site.link.say("progress", 1.5)
    site.link.say("warning", "alice.webm is damaged")
    site.link.say("result", 7)
    (outcome,) = site.turn()
    assert (outcome.task.number, outcome.value, outcome.done_s) == (0, 7, 1.5)
    assert outcome.warnings == ("alice.webm is damaged",)
    assert site.damaged == ["alice.webm is damaged"]
    assert site.progress == [(0, 1.5)]
    assert site.benches.made == 1
    assert not site.benches.is_busy


def test_a_bench_gets_the_next_task_when_the_call_has_ended(site: Site) -> None:
    begin(site)
    site.link.say("result", 7)
    site.turn()
    assert site.link.asked == ["bench-0"]
    site.link.tell("ended")
    site.turn()
    assert site.link.asked == ["bench-0"] * 2
    assert site.queue.back == []


def test_a_lost_bench_gives_its_task_to_anybody_and_is_replaced(site: Site) -> None:
    begin(site)
    site.link.tell("lost", kind="node", why="its node died")
    assert site.turn() == []
    assert site.queue.back == [(0, False)]
    assert site.link.hired == [("bench-0", []), ("bench-1", [])]
    assert not site.benches.is_busy


def test_benches_are_not_replaced_for_ever(site: Site) -> None:
    for number in range(2 * MOST_HIRES):
        site.link.tell("lost", number, kind="worker", why="it died")
        site.turn()
    assert len(site.link.hired) == MOST_HIRES


@pytest.mark.parametrize("reply", [("error", ["RenderError", "no room"]), ("result", -1)])
def test_what_a_bench_cannot_make_is_made_at_home(site: Site, reply: tuple[str, Any]) -> None:
    begin(site)
    site.link.say("warning", "only here")
    site.link.say(*reply)
    assert site.turn() == []
    assert site.queue.back == [(0, True)]
    assert site.benches.made == 0
    assert site.damaged == []


def test_a_bench_that_fails_twice_is_given_up_and_its_node_avoided(site: Site) -> None:
    begin(site)
    for _ in range(2):
        site.link.say("error", ["RenderError", "no keys for the store"])
        site.link.tell("ended")
        site.turn()
    assert site.queue.back == [(0, True), (1, True)]
    assert site.link.dropped == ["bench-0"]
    assert site.link.hired[-1] == ("bench-1", ["node-0"])
    assert site.warnings == ["a bench on the node node-0 is given up: no keys for the store"]


def test_a_bench_that_is_silent_is_given_up(site: Site) -> None:
    begin(site)
    site.turn(9.0)
    assert site.benches.is_busy
    site.link.say("waiting", None)
    site.turn(9.0)
    assert site.benches.is_busy
    site.turn(2.0)
    assert not site.benches.is_busy
    assert site.queue.back == [(0, False)]
    assert site.link.dropped == ["bench-0"]


def test_a_bench_without_a_task_may_be_silent(site: Site) -> None:
    site.queue.tasks.clear()
    site.link.ready()
    site.turn(100.0)
    assert site.link.dropped == []


def test_a_bench_of_another_build_does_not_help(site: Site) -> None:
    site.link.ready(refused="it has another build of owtmix")
    site.turn()
    assert site.warnings == ["the node node-0 does not help: it has another build of owtmix"]
    assert site.link.asked == []
    assert site.link.hired[-1] == ("bench-1", ["node-0"])


@pytest.mark.parametrize(
    "text",
    ["no JSON", '["result", "text"]', '["result", 1e999999999]', '["other", 1]', '["progress", NaN]', '{"a": 1}', "7"],
)
def test_what_makes_no_sense_costs_a_bench_its_place(site: Site, text: str) -> None:
    begin(site)
    site.link.tell("frame", text=text)
    assert site.turn() == []
    assert site.queue.back == [(0, True)]
    assert site.link.dropped == ["bench-0"]


def test_a_call_that_ends_without_a_result_is_done_at_home(site: Site) -> None:
    begin(site)
    site.link.tell("ended")
    assert site.turn() == []
    assert site.queue.back == [(0, True)]


def test_when_the_cluster_is_gone_the_job_goes_on_alone(site: Site) -> None:
    begin(site)
    site.link.tell("gone")
    assert site.turn() == []
    assert site.queue.back == [(0, True)]
    assert site.warnings == ["the cluster is gone: the rest is composed on this machine"]
    assert not site.benches.is_busy
    assert site.turn(100.0) == []
    assert len(site.link.hired) == 1


def test_events_about_benches_that_were_given_up_are_left_out(site: Site) -> None:
    begin(site)
    site.turn(11.0)
    site.link.say("result", 7)
    site.link.tell("ended")
    site.link.tell("lost", kind="worker", why="killed")
    assert site.turn() == []
    assert len(site.link.hired) == 2
