"""Ctrl-C in a terminal reaches a run and its children at once; the run ends them, and itself, in time."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from owtmix.cli.signals import DEADLINE_S
from tests.support.command import LONG, Command, install, record_once
from tests.support.processes import descendants

pytestmark = pytest.mark.serial


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return install(tmp_path_factory.mktemp("execute"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_to_the_group_ends_all_of_it_in_time(command: Command, tmp_path: Path, number: signal.Signals) -> None:
    job_file = LONG.write(tmp_path / "room", f"group-{number.name}", record_once)
    with command.start(job_file, start_new_session=True) as process:
        while not list((command.root / "work").glob("*/tracks/*")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        children = descendants(process.pid)
        since_s = time.monotonic()
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - since_s < DEADLINE_S
    assert process.returncode == 130
    assert json.loads(out)["error"]["message"] == f"stopped by {number.name}"
    assert err.rstrip().endswith(f"error: stopped by {number.name}: run the same command to go on")
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert not list((job_file.parent / "out").iterdir())
