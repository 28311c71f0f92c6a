"""Signals before jobs run, and what a parent did to them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Final

import pytest

from tests.batch.stand_in import Site
from tests.batch.test_batch import wait_for

STOPPED_S: Final = 3.0
"""Two seconds, and one for a machine that is busy."""
SLEEPS: Final = "import time; print('here', flush=True); time.sleep(60)"
DEAF: Final = """
import time
print('here', flush=True)
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""
PLANNING: Final = """
import sys
from owtmix.batch import main
def plan(*_):
    exec({what!r})
main._plan = plan
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("what", [SLEEPS, DEAF])
@pytest.mark.parametrize("option", ["--json", "--plan=json"])
def test_signals_end_a_batch_that_plans(site: Site, number: int, what: str, option: str) -> None:
    site.job("a")
    command = [sys.executable, "-c", PLANNING.format(what=what), *site.command(option)[4:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as batch:
        assert batch.stdout
        assert batch.stdout.readline() == "here\n"
        begun_s = time.monotonic()
        batch.send_signal(number)
        out, err = batch.communicate(timeout=20)
    assert (batch.returncode, site.tries("a"), site.entries()) == (130, [], [])
    assert time.monotonic() - begun_s < STOPPED_S
    if what == SLEEPS:
        assert json.loads(out)["error"]["exit_status"] == 130
        assert f"stopped by {signal.Signals(number).name}" in err


def test_a_second_signal_waits_for_nothing(site: Site) -> None:
    site.job("a")
    patient = "from owtmix.batch import requests\nrequests._LATEST_S = 60\n"
    command = [sys.executable, "-c", patient + PLANNING.format(what=DEAF), *site.command()[4:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as batch:
        assert batch.stdout
        batch.stdout.readline()
        begun_s = time.monotonic()
        batch.terminate()
        time.sleep(0.6)
        batch.terminate()
        batch.communicate(timeout=20)
    assert batch.returncode == 130
    assert time.monotonic() - begun_s < 10


def test_signals_end_a_batch_that_waits_for_its_queue(site: Site) -> None:
    with site.start(queue="-") as batch:
        until_s = time.monotonic() + 20
        while not _catches(batch.pid, signal.SIGTERM):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        time.sleep(0.2)
        begun_s = time.monotonic()
        batch.terminate()
        batch.wait(20)
    assert batch.returncode == 130
    assert time.monotonic() - begun_s < STOPPED_S


def _catches(pid: int, number: int) -> bool:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123
        (caught,) = [int(line.split()[1], 16) for line in status if line.startswith("SigCgt")]
    return bool(caught >> (number - 1) & 1)


def block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def ignore_ends_of_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def test_signals_that_a_parent_blocked_are_heard(site: Site) -> None:
    site.job("a", lasts_s=60)
    with site.start("--grace", 0, preexec_fn=block) as batch:
        wait_for(site, 1)
        batch.terminate()
        batch.communicate(timeout=20)
    assert (batch.returncode, site.states()) == (130, {"a": "drained"})


def test_a_parent_that_ignores_the_ends_of_children(site: Site) -> None:
    site.job("a", 3, 0)
    with site.start(preexec_fn=ignore_ends_of_children) as batch:
        _, err = batch.communicate(timeout=20)
    assert (batch.returncode, site.states()) == (0, {"a": "done"})
    assert "Traceback" not in err


@pytest.mark.parametrize("stage", ["free_standard_error", "show_lines", "_execute"])
def test_a_signal_at_any_moment_before_jobs_run_gives_130_and_no_traceback(site: Site, stage: str) -> None:
    site.job("a")
    script = (
        "import os, signal\n"
        "from owtmix.batch import main\n"
        f"main.{stage} = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "main.main()\n"
    )
    command = [sys.executable, "-c", script, *site.command("--plan")[4:]]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, "Traceback" in run.stderr) == (130, False)
