"""Many jobs on a cluster: each is a task that is done once, and the journal says what became of it."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest

from tests.batch.stand_in import Site
from tests.cluster.farm import TOKEN, Farm, end, is_alive, wait_until, wait_until_gone

pytestmark = pytest.mark.serial

_ABOUT_THE_NODE = """
if test.get("kills"):
    os.kill(os.getppid(), 9)
    time.sleep(10)
with open(os.path.join(marks, "cards-" + name), "a") as cards:
    cards.write(os.environ.get("CUDA_VISIBLE_DEVICES", "") + "\\n")
until ="""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A stand-in that may also kill the process of the cluster that runs it."""
    site = Site(tmp_path)
    site.set_up()
    text = site.program.read_text()
    assert text.count("\nuntil =") == 1
    site.program.write_text(text.replace("\nuntil =", _ABOUT_THE_NODE))
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    return site


def pid_of(site: Site, name: str, number: int = 0) -> int:
    """The process of a run, once it is there."""
    wait_until(lambda: begun(site, name) > number, f"{name} runs")
    return int(site.tries(name)[number]["pid"])


def begun(site: Site, name: str) -> int:
    """How many runs of a job have said who they are."""
    try:
        return len(site.tries(name))
    except ValueError:  # one is about to
        return 0


def have_begun(site: Site, before: dict[str, int], count: int) -> bool:
    """Whether so many jobs have begun once more than ``before``."""
    return sum(begun(site, name) > runs for name, runs in before.items()) == count


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_jobs_are_done_whatever_becomes_of_workers_and_nodes(farm: Farm, site: Site) -> None:
    for number in range(4):
        site.job(f"short-{number}", lasts_s=0.2)
    site.job("first", lasts_s=2)
    site.job("second", lasts_s=2)
    site.job("killed", -9, 0)
    manifest = site.path / "queue.jsonl"
    names = ("first", "second", "killed", *(f"short-{number}" for number in range(4)))
    manifest.write_text("".join(f'{{"cfg": "jobs/{name}/cfg.json", "id": "{name}"}}\n' for name in names))
    process = site.start("--cluster", farm.address, "--order", "given", "--results", site.results, queue=manifest)
    first, second = pid_of(site, "first"), pid_of(site, "second")
    end(parent_of(first))
    wait_until(lambda: not is_alive(first), "a run ends with the cluster's worker", 3)
    farm.kill(farm.node_of(second))
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, (out, said)
    assert set(site.states().values()) == {"done"}
    assert len(site.states()) == len(names)
    exits = {name: [entry["exit"] for entry in site.entries() if entry["id"] == name] for name in names}
    assert exits["first"][0] is None
    assert exits["second"][0] is None
    assert exits["killed"] == [-9, 0]
    assert all(exits[f"short-{number}"] == [0] for number in range(4))
    nodes = {entry["node"] for entry in site.entries()}
    assert len(nodes) == 2


def test_a_job_that_always_kills_its_host_is_poisoned_and_others_are_done(farm: Farm, site: Site) -> None:
    site.job("evil", kills=True)
    site.job("good", lasts_s=0.1)
    run = site.run("--cluster", farm.address)
    assert run.status == 4, run.messages
    assert site.states() == {"evil": "poisoned", "good": "done"}
    assert [entry["state"] for entry in site.entries() if entry["id"] == "evil"] == ["lost"] * 5 + ["poisoned"]


def test_a_batch_that_is_stopped_or_killed_leaves_nothing_running(farm: Farm, site: Site) -> None:
    names = [f"job-{number}" for number in range(3)]
    for name in names:
        site.job(name, lasts_s=60)
    for number, status in ((signal.SIGTERM, 130), (signal.SIGKILL, -9)):
        before = {name: begun(site, name) for name in names}
        process = site.start("--cluster", farm.address, "--grace", 0)
        wait_until(partial(have_begun, site, before, 2), "two run")
        pids = [pid_of(site, n, before[n]) for n in names if begun(site, n) > before[n]]
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == status, said
        wait_until_gone(pids, "its runs are gone")
    assert {entry["state"] for entry in site.entries()} == {"drained"}
    for name in names:
        site.job(name)
    assert site.run("--cluster", farm.address).status == 0
    assert set(site.states().values()) == {"done"}


def test_jobs_share_a_card(farm: Farm, site: Site) -> None:
    node = farm.add(cpus=2, num_gpus=1)
    try:
        site.job("a", beside="b")
        site.job("b", beside="a")
        assert site.run("--cluster", farm.address, "--gpus", 0.5).status == 0
        for name in ("a", "b"):
            assert (site.marks / f"cards-{name}").read_text() == "0\n"
        assert {entry["node"] for entry in site.entries()} == {farm.name(node)}
    finally:
        farm.kill(node)
