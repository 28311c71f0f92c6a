"""Attacks with recordings on the whole tool: tails that have nothing in them, changes while a job reads."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

import pytest

from tests.media.test_bounded_file import TAIL_BYTES, write_wav
from tests.support import people
from tests.support.changes import CHANGES
from tests.support.command import Command, install, record_once
from tests.support.fixtures import new_job_id
from tests.support.people import Take
from tests.support.room import Room

SOON_S: Final = 60
"""Such a room without tails takes 3 s; searching one tail alone took more than two minutes."""

ROOM: Final = Room(
    takes=(
        Take("anna_1", 0, 3000, people.COLOURS[0], 440, size=(160, 90)),
        Take("ben_1", 0, 3000, people.COLOURS[1], 660, size=(160, 90), container="webm"),
        Take("carl_1", 0, 3000, people.COLOURS[2], 880, size=(160, 90), container="webm"),
    ),
    size=(320, 180),
)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return install(tmp_path / "installation")


def test_sparse_tails_cost_seconds(command: Command, tmp_path: Path) -> None:
    job_file = ROOM.write(tmp_path / "room", new_job_id(tmp_path), record_once)
    carl = next((tmp_path / "room" / "room").glob("*carl*"))
    write_wav(carl, 3)
    for path in (tmp_path / "room" / "room").iterdir():
        os.truncate(path, TAIL_BYTES)
    began = time.monotonic()
    done = command.run("--json", job_file)
    assert time.monotonic() - began < SOON_S
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert not any(one.get("left_out") for one in report["inputs"])
    assert sum("256 MiB follow without any picture or sound" in one for one in report["warnings"]) == 2


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("after_s", [0, 0.5, 1.5])
def test_a_recording_that_changes_while_it_is_composed_is_named_or_not_needed_any_more(
    command: Command, tmp_path: Path, how: str, after_s: float
) -> None:
    """Status 0 needs a warning that names it, unless the output is the one without the change."""
    takes = (
        Take(f"{name}_1", 0, 20_000, people.COLOURS[n], 440, size=(160, 90), fps=5, container="webm")
        for n, name in enumerate(("anna", "ben"))
    )
    job_id = new_job_id(tmp_path)
    job_file = Room(tuple(takes), size=(640, 360)).write(tmp_path / "room", job_id, record_once)
    output = Path(json.loads(command.run("--json", job_file).stdout)["output"])
    planned = output.read_bytes()
    output.unlink()
    ben = next((tmp_path / "room" / "room").glob("*ben*"))
    running = command.start("--json", "--fresh", job_file)
    while not list((command.root / "work" / job_id).glob("tracks/*")) and running.poll() is None:
        time.sleep(0.01)
    time.sleep(after_s)
    CHANGES[how](ben)
    stdout, stderr = running.communicate(timeout=SOON_S)
    assert running.returncode == 0, stderr
    warnings = json.loads(stdout)["warnings"]
    if output.read_bytes() != planned:
        assert any("ben" in warning and "changed, replaced or removed" in warning for warning in warnings)
