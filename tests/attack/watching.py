"""Runs the command and watches what it takes: memory of the parent and its children, descriptors, disk."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import CLEAN_ENVIRONMENT, Command
from tests.support.processes import descendants

POLL_S = 0.05


@dataclass(slots=True)
class Watched:
    """How a run ended, and the most it took: resident memory, the parent's descriptors, disk of the work folder."""

    status: int = -1
    told: str = ""
    took_s: float = 0.0
    child_mib: int = 0
    parent_mib: int = 0
    descriptors: int = 0
    work_mib: int = 0


def watch(command: Command, *arguments: str | Path) -> Watched:
    """Run the command to its end and look at it all the while."""
    seen, began = Watched(), time.monotonic()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            [command.path, "--quiet", *map(str, arguments)],
            env=CLEAN_ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=told,
        )
        while process.poll() is None:
            for pid in descendants(process.pid):
                seen.child_mib = max(seen.child_mib, _resident_mib(pid))
            seen.parent_mib = max(seen.parent_mib, _resident_mib(process.pid))
            seen.descriptors = max(seen.descriptors, _descriptors(process.pid))
            seen.work_mib = max(seen.work_mib, _size_mib(command.root / "work"))
            time.sleep(POLL_S)
        told.seek(0)
        seen.told = told.read()
    seen.status, seen.took_s = process.returncode, time.monotonic() - began
    return seen


def _resident_mib(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    except (OSError, IndexError):
        return 0


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def _size_mib(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # which skips folders that are gone
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).lstat().st_blocks * 512
    return total >> 20
