"""What runs leave on the disk when they are killed, and when somebody changes the disk meanwhile."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stored import Stored, lay_out
from tests.storage.conftest import Service
from tests.storage.fault_proxy import FaultProxy
from tests.support.command import CLEAN_ENVIRONMENT, Command, record_once
from tests.support.people import COLOURS, Take
from tests.support.processes import descendants
from tests.support.room import Room

KILLS: Final = 15
SEED: Final = 13
SETTLED_S: Final = 20.0
"""For children to end, and for the folder of a killed process to be removed, on a busy machine."""
STARTED_S: Final = 60.0

ROOM: Final = Room(
    takes=(
        Take("anna_1", 0, 12_000, COLOURS[0], 440, size=(160, 90)),
        Take("ben_1", 3300, 6000, COLOURS[1], 660, size=(160, 90), container="webm"),
    ),
    size=(320, 180),
    bit_rate_kbps=200,
)
"""Twelve seconds; six chunks of two."""


@pytest.fixture
def near(tmp_path: Path, job_id: str) -> Path:
    """The job file of a room in a folder."""
    return ROOM.write(tmp_path / "room", job_id, record_once)


@pytest.fixture
def far(command: Command, service: Service, proxy: FaultProxy, tmp_path: Path, job_id: str) -> Stored:
    """A room in a store, whose recordings are fetched."""
    return lay_out(command, service, proxy, tmp_path / "far", job_id, ROOM)


@pytest.mark.parametrize("what", ["plan", "preview"])
def test_a_plan_and_a_preview_that_are_killed_leave_nothing(far: Stored, tmp_path: Path, what: str) -> None:
    chance = random.Random(SEED)
    work, png, temporary = far.command.root / "work", tmp_path / "pictures" / "one.png", tmp_path / "tmp"
    png.parent.mkdir()
    temporary.mkdir()
    options = ("--plan",) if what == "plan" else ("--preview", "4", str(png))
    begun = time.monotonic()
    _, err = start(far, temporary, options).communicate(timeout=120)
    took_s = time.monotonic() - begun
    whole = png.read_bytes() if what == "preview" else b""
    before = files(work)
    killed = fetching = 0
    for _ in range(KILLS):
        shutil.rmtree(far.command.root / "probes", ignore_errors=True)  # so that there is something to fetch
        png.unlink(missing_ok=True)
        with start(far, temporary, options) as process:
            time.sleep(chance.uniform(0.2, 1) * took_s)
            family = set(descendants(process.pid))
            fetching += bool(files(work) - before)
            killed += process.poll() is None
            process.kill()
        assert until(lambda: files(work) == before, SETTLED_S), files(work) - before
        assert until(lambda: not any(map(is_alive, family)), SETTLED_S)  # noqa: B023 - it is called at once
        assert not png.exists() or png.read_bytes() == whole
        assert files(png.parent) <= {"one.png"}
        assert not files(temporary)
    assert killed >= KILLS // 3, err
    assert fetching


PLACES: Final = (
    "work",
    "work/JOB",
    "work/JOB/inputs",
    "work/JOB/chunks",
    "work/JOB/tracks",
    "locks",
    "logs",
    "probes",
    "out",
)


def remove(path: Path, _: Path) -> None:
    shutil.rmtree(path)


def replace_by_file(path: Path, _: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def replace_by_link(path: Path, elsewhere: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("how", [remove, replace_by_file, replace_by_link])
@pytest.mark.parametrize("place", PLACES)
def test_a_folder_that_goes_while_a_job_runs_is_status_5_with_a_sentence(
    command: Command, near: Path, job_id: str, tmp_path: Path, place: str, how: Callable[[Path, Path], None]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("precious")
    folder = near.parent / "out" if place == "out" else command.root / place.replace("JOB", job_id)
    tracks = command.root / "work" / job_id / "tracks"
    with command.start("--chunk", "2", "--workers", "2", near, cwd="/") as process:
        began = until(lambda: tracks.is_dir() and any(tracks.iterdir()), STARTED_S)
        process.send_signal(signal.SIGSTOP)
        how(folder, elsewhere)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=120)
    kept = {path: path.read_bytes() for path in elsewhere.iterdir() if path.is_file()}
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    assert began
    if place not in {"work", "logs", "out"}:  # which the owner of the machine may make a link to another disk
        assert kept == {elsewhere / "precious": b"precious"}
    assert kept[elsewhere / "precious"] == b"precious"
    assert "Traceback" not in err
    assert "internal error" not in err
    assert process.returncode in {0, 5}, err
    if process.returncode == 5:
        (line,) = [line for line in err.splitlines() if " error: " in line]
        assert "cannot be" in line or "is gone" in line
    else:
        assert Path(json.loads(out)["output"]).stat().st_size
    again = command.run("--chunk", "2", near)
    assert again.returncode == 0, again.stderr


def test_what_is_fetched_and_made_can_be_read_by_its_owner_only(far: Stored, tmp_path: Path) -> None:
    """Also where the umask lets everybody read."""
    work = far.command.root / "work" / far.job_id
    seen: dict[str, int] = {}
    with start(far, tmp_path, ("--chunk", "2"), "umask 0") as process:
        while process.poll() is None:
            for name, mode in modes(work):
                seen[name] = seen.get(name, 0) | mode
            time.sleep(0.005)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert any(name.startswith("inputs/") for name in seen)
    assert any(name.startswith("chunks/") for name in seen)
    assert {name: oct(mode) for name, mode in seen.items() if mode & 0o077} == {}


def start(far: Stored, temporary: Path, options: tuple[str, ...], before: str = ":") -> subprocess.Popen[str]:
    """Start the command, after a command of the shell, with another folder for temporary files."""
    return subprocess.Popen(
        ["sh", "-c", f'{before}; exec "$@"', "sh", far.command.path, *options, str(far.job_file)],
        env=CLEAN_ENVIRONMENT
        | {"OWT_CONF": str(far.settings), "HOME": str(far.job_file.parent), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )


def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether the condition holds within a time."""
    end = time.monotonic() + limit_s
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return holds


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return False


def files(folder: Path) -> set[str]:
    """Everything in a folder, which may be removed meanwhile."""
    found = set()
    for where, folders, names in os.walk(folder):
        found |= {os.path.relpath(Path(where, name), folder) for name in (*folders, *names)}
    return found


def modes(folder: Path) -> Iterator[tuple[str, int]]:
    for name in (".", *files(folder)):
        with suppress(OSError):
            yield name, os.lstat(folder / name).st_mode & 0o777
