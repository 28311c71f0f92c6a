"""A job that is cut off goes on where it was, and what comes out is what an undisturbed run gives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support import people
from tests.support.command import CLEAN_ENVIRONMENT, Command, change, record_once
from tests.support.people import Take
from tests.support.processes import descendants
from tests.support.room import Room

ROOM: Final = Room(
    takes=(
        Take("anna_1", 0, 12_000, people.COLOURS[0], 440, size=(160, 90)),
        Take("ben_1", 3300, 6000, people.COLOURS[1], 660, size=(160, 90), container="webm"),
    ),
    size=(320, 180),
    bit_rate_kbps=200,
)
"""Twelve seconds; six chunks of two."""

CHUNKS: Final = ("--chunk", "2")
KILLS: Final = 20
LEAST: Final = 3
"""So many parents, and children, are killed; on a busy machine it takes more than ``KILLS`` runs."""
SEED: Final = 5


@pytest.fixture
def job_file(tmp_path: Path, job_id: str) -> Path:
    return ROOM.write(tmp_path / "room", job_id, record_once)


def run(command: Command, job_file: Path, *options: str) -> dict[str, Any]:
    done = command.run(*CHUNKS, *options, job_file)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def output(report: dict[str, Any]) -> bytes:
    return Path(report["output"]).read_bytes()


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def interrupted(command: Command, job_file: Path, chance: random.Random, *, parent: bool) -> tuple[bool, Path | None]:
    """Start the job and kill, somewhere, the ``parent`` or one of its children.

    Returns:
        Whether there was someone to kill; and the output, if the job came to its end all the same. Either way its
        children are gone.
    """
    with subprocess.Popen(
        [command.path, *CHUNKS, job_file],
        env=CLEAN_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        family = descendants(process.pid)
        while not family and process.poll() is None:
            time.sleep(0.01)
            family = descendants(process.pid)
        time.sleep(chance.uniform(0, 0.5))
        family = descendants(process.pid)
        victims = [process.pid] if parent else family
        killed = False
        if victims and process.poll() is None:
            with suppress(ProcessLookupError):  # it ended a moment ago
                os.kill(chance.choice(victims), signal.SIGKILL)
                killed = True
        said, _ = process.communicate(timeout=60)
    until_s = time.monotonic() + 30
    while any(map(is_alive, family)) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not [pid for pid in family if is_alive(pid)]
    return killed, Path(json.loads(said)["output"]) if process.returncode == 0 else None


def test_a_job_that_is_killed_again_and_again_ends_as_if_nothing_had_been(
    command: Command, job_file: Path, job_id: str
) -> None:
    expected = output(run(command, job_file))
    chance = random.Random(SEED)
    hit = {True: 0, False: 0}
    cut = 0
    for number in range(10 * KILLS):
        if number >= KILLS and min(cut, *hit.values()) >= LEAST:
            break
        parent = number % 2 == 0
        killed, made = interrupted(command, job_file, chance, parent=parent)
        hit[parent] += killed
        cut += made is None
        assert made is None or made.read_bytes() == expected
    assert min(cut, *hit.values()) >= LEAST, "too few were there to be killed"
    report = run(command, job_file)
    assert output(report) == expected
    assert not (command.root / "work" / job_id).exists()
    assert not [name for name in job_file.parent.joinpath("out").iterdir() if name != Path(report["output"])]


def leave_chunks(command: Command, job_file: Path, job_id: str, count: int) -> None:
    """Run the job until so many chunks are finished, and kill it."""
    chunks = command.root / "work" / job_id / "chunks"
    with subprocess.Popen(
        [command.path, *CHUNKS, "--workers", "1", job_file],
        env=CLEAN_ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        manifest = chunks / "manifest.jsonl"
        # The sound has an entry too.
        while not manifest.exists() or manifest.read_text().count('"track"') < count + 1:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()


def test_what_was_finished_is_used_and_said(command: Command, job_file: Path, job_id: str) -> None:
    whole = run(command, job_file)
    assert whole["chunks"] == {"total": 6, "reused": 0}
    leave_chunks(command, job_file, job_id, 2)
    done = command.run(*CHUNKS, job_file)
    report = json.loads(done.stdout)
    assert report["chunks"]["total"] == 6
    assert report["chunks"]["reused"] >= 2
    assert f"{report['chunks']['reused']} of 6 chunks were composed by an earlier run" in done.stderr
    assert report["inputs"] == whole["inputs"]
    assert output(report) == output(whole)


def test_a_changed_job_uses_what_is_still_the_same(command: Command, job_file: Path, job_id: str) -> None:
    leave_chunks(command, job_file, job_id, 4)
    (index_file,) = (path for path in job_file.parent.glob("*.json") if path != job_file)
    index = json.loads(index_file.read_text())
    index["Files"][1]["StartTime"] += 1000
    index_file.write_text(json.dumps(index))
    report = run(command, job_file)
    assert report["chunks"] == {"total": 6, "reused": 1}
    changed = output(report)
    assert changed == output(run(command, job_file))


@pytest.mark.parametrize("how", ["fresh", "another size"])
def test_nothing_is_used_that_must_not_be(command: Command, job_file: Path, job_id: str, how: str) -> None:
    leave_chunks(command, job_file, job_id, 2)
    if how == "another size":
        change(job_file, "Data.TranscodingConfig.Video.Width", 322)
    options = ("--fresh",) if how == "fresh" else ()
    assert run(command, job_file, *options)["chunks"]["reused"] == 0


def test_the_bytes_do_not_depend_on_the_number_of_workers(command: Command, job_file: Path) -> None:
    made = {output(run(command, job_file, "--workers", workers)) for workers in ("1", "2", "5")}
    assert len(made) == 1


def test_an_interrupt_keeps_what_is_finished(command: Command, job_file: Path, job_id: str) -> None:
    work = command.root / "work" / job_id
    with command.start(*CHUNKS, "--workers", "1", job_file) as process:
        while not (work / "chunks" / "manifest.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 130
    assert not (work / "tracks").exists()
    assert list((work / "chunks").iterdir())
