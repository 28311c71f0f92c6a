"""Connecting to a cluster, where that fails; ``tests/cluster`` has one that works."""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path

import pytest

from owtmix.base.errors import ClusterError, Interrupted
from owtmix.workers import cluster, cluster_link
from owtmix.workers.cluster_address import is_address
from owtmix.workers.cluster_link import NO_CLUSTER, NO_TOKEN, SILENT_S, WRONG_TOKEN, ClusterLink

_AGENT = """#!{python} -ISs
import sys, json
print(json.dumps({said}), flush=True)
sys.stdin.read()
"""


def agent(folder: Path, said: object) -> str:
    """A program that says something in place of the agent, and waits."""
    path = folder / "python"
    path.write_text(_AGENT.format(python=sys.executable, said=said))
    path.chmod(0o755)
    return str(path)


class Clock:
    """Goes on by ``step_s`` with every look."""

    def __init__(self, step_s: float) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture(autouse=True)
def with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were installed."""
    monkeypatch.setattr(cluster_link, "find_spec", lambda name: name)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.example:6379", "[::1]:6379"])
def test_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize("address", ["", "ray://10.0.0.1:10001", "10.0.0.1", "a b:1", "host:port", "auto:1:2", "local"])
def test_no_addresses(address: str) -> None:
    assert not is_address(address)


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_link, "find_spec", lambda _: None)
    with pytest.raises(ClusterError, match=r"pip install 'owtmix\[ray\]'") as found:
        ClusterLink("auto")
    assert found.value.exit_status == 1


def test_a_cluster_without_a_token_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ClusterError, match="RAY_AUTH_MODE must be token"):
        ClusterLink("auto")


@pytest.mark.parametrize(
    ("kind", "why", "message"),
    [
        ("token", "whatever Ray says", NO_TOKEN),
        ("right-token", "whatever Ray says", WRONG_TOKEN),
        ("cluster", "whatever Ray says", NO_CLUSTER),
        ("another", "Version mismatch", "the cluster at 10.0.0.1:6379 cannot be used: Version mismatch"),
    ],
)
def test_a_refusal_is_told_in_words(tmp_path: Path, kind: str, why: str, message: str) -> None:
    program = agent(tmp_path, {"event": "refused", "kind": kind, "why": why})
    with pytest.raises(ClusterError) as found:
        ClusterLink("10.0.0.1:6379", program)
    assert str(found.value) == message


@pytest.mark.parametrize("said", [None, 7, [], {"no": "event"}])
def test_an_agent_that_makes_no_sense_is_gone(tmp_path: Path, said: object) -> None:
    with pytest.raises(ClusterError, match="its agent has ended"):
        ClusterLink("10.0.0.1:6379", agent(tmp_path, said))


def test_an_agent_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="cannot be started: No such file"):
        ClusterLink("10.0.0.1:6379", str(tmp_path / "none"))


def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    clock = Clock(20.0)
    with pytest.raises(ClusterError, match="does not answer within 60 s"):
        ClusterLink("10.0.0.1:6379", agent(tmp_path, {"event": "nodes", "nodes": {}}), clock)


def test_who_asks_for_an_end_does_not_wait_for_a_cluster(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    with pytest.raises(Interrupted):
        ClusterLink("10.0.0.1:6379", agent(tmp_path, {"event": "nodes", "nodes": {}}), is_stopped=lambda: True)
    assert time.monotonic() - begun_s < 10


def test_a_signal_that_ends_the_agent_is_named() -> None:
    assert cluster._one_line(SystemExit(15)) == "its agent was stopped by SIGTERM"
    assert cluster._one_line(SystemExit("x")) == "Ray ended its agent"


def test_without_a_cluster_the_advice_of_ray_is_not_given() -> None:
    said = ConnectionError("Could not find any running Ray instance. Please specify the one with `--address` flag")
    assert cluster._refusal(said) == "cluster"


def test_an_agent_that_is_stuck_is_ended(tmp_path: Path) -> None:
    clock = Clock(0.0)
    with ClusterLink("auto", agent(tmp_path, {"event": "connected", "nodes": {}}), clock) as link:
        clock.step_s = 3600.0
        for _ in range(int(SILENT_S)):  # this process was stopped for an hour each time; that is no silence
            assert link.events() == []
        assert not link.is_gone
        for _ in range(3):
            link.events()
        assert select.select([link], (), (), 10.0)[0]
        assert [event["event"] for event in link.events()] == ["gone"]


def test_nodes_are_known_and_an_end_is_noticed(tmp_path: Path) -> None:
    nodes = {"one-12345678": {"cpus": 2.0, "gpus": 0.0, "memory_bytes": 1e9}}
    with ClusterLink("auto", agent(tmp_path, {"event": "connected", "nodes": nodes})) as link:
        assert link.nodes["one-12345678"].cpus == 2
        assert link.node_name("12345678abcdef") == "one-12345678"
        assert link.node_name("ffffffffabcdef") == "ffffffff"
        assert not link.is_gone
    assert link.is_gone


def test_only_one_module_imports_ray() -> None:
    package = Path(cluster_link.__file__).parents[1]
    found = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(line.split()[:2] in (["import", "ray"], ["from", "ray"]) for line in path.read_text().splitlines())
    ]
    assert found == ["workers/cluster.py"]


def test_the_agent_gets_no_keys_of_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("UCLOUD_PRIVATE_KEY", "hush")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "token")
    variables = cluster_link._environment("10.0.0.1:6379")
    assert "hush" not in variables.values()
    assert variables["RAY_AUTH_TOKEN"] == "token"
    assert variables["RAY_AUTH_MODE"] == "token"
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in variables
    assert cluster_link._environment("127.0.0.1:6379")["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
