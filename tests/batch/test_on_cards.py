"""Whole batches on cards that are simulated: ``nvidia-smi`` and CuPy are stand-ins, and so is ``owt-main``."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.batch.capacity import ASSUMED
from owtmix.batch.card_rates import write_rates
from owtmix.batch.policy import COMPOSING
from owtmix.workers.card_models import CONSUMER_SESSIONS
from tests.batch.stand_in import Site

PROGRAM: Final = """#!{python} -ISs
import json, os, sys, time
begun = time.monotonic()
card = os.environ.get("CUDA_VISIBLE_DEVICES")
options = dict(word.partition("=")[::2] for word in sys.argv[1:-1])
time.sleep({lasts_s})
with open(os.path.join({marks!r}, str(os.getpid())), "w") as mark:
    options = {{"device": options.get("--device"), "places": options.get("--places")}}
    options["held"] = "--card-is-held" in sys.argv
    json.dump(options | {{"card": card, "begun": begun, "ended": time.monotonic()}}, mark)
good = card is not None and card not in {broken!r}
device = {{"composed_on": ["cuda:0" if good else "cpu"], "encoder": "x", "why": "it is broken"}}
result = {{"output": sys.argv[-1], "duration_s": 60.0, "warnings": [], "chunks": {{"total": 1, "reused": 0}}}}
result["device"] = device
print(json.dumps(result))
sys.exit({status})
"""


@pytest.fixture
def machine(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A machine with two GeForce cards."""
    tools = site.path / "tools"
    (tools / "cupy").mkdir(parents=True)
    (tools / "cupy" / "__init__.py").write_text("raise AssertionError('the batch must not load CUDA')\n")
    driver = tools / "nvidia-smi"
    lines = "".join(
        f"{number}, GPU-{number}, NVIDIA GeForce RTX 4090, 24564, 24000, 0:{number}:0\\n" for number in range(2)
    )
    driver.write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tools), os.environ.get("PYTHONPATH")])))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return site


def write_program(site: Site, lasts_s: float = 0.5, broken: tuple[str, ...] = (), status: int = 0) -> None:
    text = PROGRAM.format(python=sys.executable, lasts_s=lasts_s, marks=str(site.marks), broken=broken, status=status)
    site.program.write_text(text)


def runs(site: Site) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in site.marks.iterdir()]
    return sorted(found, key=lambda run: float(run["begun"]))


def most_at_once(found: list[dict[str, Any]]) -> int:
    return max(len([run for run in found if run["begun"] <= other["begun"] < run["ended"]]) for other in found)


def test_jobs_spread_over_cards_within_their_sessions(machine: Site) -> None:
    write_program(machine)
    for number in range(20):
        machine.job(f"room-{number}")
    assert machine.run("--jobs", 20, "--gpus", 0.1).status == 0
    found = runs(machine)
    assert len(found) == 20
    assert {(run["device"], run["places"], run["held"]) for run in found} == {("auto", None, True)}
    assert most_at_once(found) == CONSUMER_SESSIONS
    assert Counter(run["card"] for run in found[:CONSUMER_SESSIONS]) == {"GPU-0": 4, "GPU-1": 4}


def test_two_batches_share_the_sessions_of_a_machine(machine: Site, tmp_path: Path) -> None:
    write_program(machine)
    for number in range(8):
        machine.job(f"room-{number}")
    queue = tmp_path / "more"
    machine.queue.rename(queue)
    machine.queue.mkdir()
    for number in range(8, 16):
        machine.job(f"room-{number}")
    both = [machine.start("--jobs", 20, "--gpus", 0.1, queue=folder) for folder in (machine.queue, queue)]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert len(runs(machine)) == 16
    assert most_at_once(runs(machine)) <= CONSUMER_SESSIONS


def test_a_card_that_is_broken_is_taken_out(machine: Site) -> None:
    write_program(machine, 0.1, broken=("GPU-1",))
    for number in range(16):
        machine.job(f"room-{number}")
    ended = machine.run("--jobs", 4, "--gpus", 0.5)
    assert ended.status == 0
    cards = [run["card"] for run in runs(machine)]
    assert 2 <= cards.count("GPU-1") <= 4
    assert set(cards[-8:]) == {"GPU-0"}
    assert "NVIDIA GeForce RTX 4090 (GPU-1) is not used any more: it is broken" in ended.messages


def test_no_card_is_used_when_none_is_wanted(machine: Site) -> None:
    write_program(machine, 0)
    machine.job("room")
    assert machine.run("--gpus", 0).status == 0
    (run,) = runs(machine)
    assert (run["card"], run["device"], run["held"]) == (None, "cpu", False)
    assert run["places"]


def test_the_last_attempt_after_composing_failed_is_on_the_cpu(machine: Site) -> None:
    write_program(machine, 0, status=COMPOSING)
    machine.job("room")
    assert machine.run("--attempts", 3).status == 4
    assert [run["device"] for run in runs(machine)] == ["auto", "auto", "cpu"]
    assert [run["card"] is not None for run in runs(machine)] == [True, True, False]


def test_a_driver_that_fails_is_told(machine: Site) -> None:
    write_program(machine, 0)
    machine.job("room")
    (machine.path / "tools" / "nvidia-smi").write_text("#!/bin/sh\necho lost >&2\nexit 9\n")
    assert "warning: no card: nvidia-smi failed with status 9: lost" in machine.run().messages
    assert "no card" not in machine.run("--gpus", 0, "--again", "all").messages


def test_a_batch_that_asks_for_cards_is_told_why_there_is_none(machine: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(machine, 0)
    machine.job("room")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "warning: no card: CUDA_VISIBLE_DEVICES names no card" in machine.run("--gpus", 0.5).messages
    assert "no card" not in machine.run("--again", "all").messages


def test_measured_rates_are_used(machine: Site) -> None:
    write_program(machine, 0.2)
    state = machine.path / "state"
    state.mkdir()
    write_rates(state, "GeForce RTX 4090", replace(ASSUMED, alone=1000))
    for number in range(6):
        machine.job(f"room-{number}")
    assert machine.run("--jobs", 6).status == 0
    assert most_at_once(runs(machine)) == 2  # one job is all that a card can do


def test_hidden_cards_are_not_used(machine: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(machine, 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    for number in range(4):
        machine.job(f"room-{number}")
    assert machine.run("--jobs", 4).status == 0
    assert {run["card"] for run in runs(machine)} == {"GPU-1"}
