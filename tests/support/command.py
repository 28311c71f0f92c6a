"""An installation of the command, in a path with spaces, and small rooms to compose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from owtmix.jobfile.settings_file import INSTALLATION
from tests.support import people
from tests.support.people import Take
from tests.support.room import Room

CLEAN_ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if not name.startswith(("OWT_", "XDG_"))}
PATIENCE_S: Final = 270
"""What takes a minute on an idle machine takes two and more where machines are shared."""


@dataclass(frozen=True, slots=True)
class Command:
    """The command of the installation in ``root``."""

    root: Path

    @property
    def path(self) -> str:
        return str(self.root / "bin" / "owt-main")

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command from another working directory and wait for it."""
        return subprocess.run(
            [self.path, *map(str, arguments)],
            env=CLEAN_ENVIRONMENT | environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start the command without waiting for it."""
        command = [self.path, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=CLEAN_ENVIRONMENT, text=True, **(pipes | options))


def install(root: Path) -> Command:
    """Copy the program to ``root`` and link this interpreter as its environment."""
    for folder in ("bin", "conf", "owtmix"):
        shutil.copytree(INSTALLATION / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return Command(root)


TINY: Final = Room(
    takes=(
        Take("anna_1", 0, 1200, people.COLOURS[0], 440, end_ms=1200, size=(160, 90)),
        Take("ben_1", 500, 1000, people.COLOURS[1], 660, end_ms=1500, size=(160, 90), container="webm"),
    ),
    size=(160, 90),
    bit_rate_kbps=200,
)
"""A room of 1.5 s; in the middle both people are present."""

LONG: Final = Room(takes=(Take("anna_1", 0, 60_000, people.COLOURS[0], 440, fps=5),), size=(1280, 720), fps=30)
"""A room that takes long enough to be interrupted."""


_RECORDED: Final[dict[Take, bytes]] = {}


def record_once(take: Take, path: Path) -> None:
    """Write the file of a take, which is encoded only once."""
    if take not in _RECORDED:
        people.record(take, path)
        _RECORDED[take] = path.read_bytes()
    path.write_bytes(_RECORDED[take])


def change(job_file: Path, path: str, value: object) -> None:
    """Set the key at ``path`` (dotted) of the job file; None removes it."""
    request = json.loads(job_file.read_text())
    *parents, last = path.split(".")
    section = request
    for key in parents:
        section = section[key]
    section[last] = value
    if value is None:
        del section[last]
    job_file.write_text(json.dumps(request, indent=2))
