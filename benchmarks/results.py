"""The result files: one for each day, commit and machine, in JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.ffmpeg import version
from benchmarks.scenes import SCENES

PARTS: Final = ("chunks", "gpu", "sweep")
"""Those that commands of their own measure."""
RESULTS: Final = Path(__file__).parent / "results"


class Results:
    """One result file. Scenes that are measured again, on the same day and commit, replace what it had of them."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        self.path = folder / f"{now:%Y-%m-%d}_{_commit()}_{_machine()}.json"
        self.about: dict[str, Any] = {
            "commit": _commit(),
            "machine": _processor(),
            "cores": os.cpu_count() or 1,
            "python": platform.python_version(),
            "ffmpeg": version(),
        }

    def add(self, part: str, key: str, value: Any) -> None:
        """Keep ``value`` as ``part[key]``, such as a scene's results, beside what the file has by now."""
        document = (read(self.path) if self.path.exists() else {}) | self.about
        document["measured"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        document.setdefault(part, {})[key] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = self.path.with_suffix(".new")
        written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        written.replace(self.path)


def read(path: Path) -> dict[str, Any]:
    """A result file."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def newest(folder: Path = RESULTS, part: str | None = None) -> Path | None:
    """The file that was measured last, of those that have ``part``, if one is named; None where there is none."""
    paths = (path for path in folder.glob("*.json") if part is None or part in read(path))
    return max(paths, key=lambda path: (read(path)["measured"], path.name), default=None)


def completed(path: Path) -> dict[str, Any]:
    """A result file, with the ``PARTS`` and scenes that it lacks from the newest beside it that have them.

    Scenes are those of the same machine. ``borrowed`` tells from which file each is.
    """
    document = read(path)
    found = {part: newest(path.parent, part) for part in PARTS if part not in document}
    borrowed = {part: older for part, older in found.items() if older}
    parts = {part: read(older)[part] for part, older in borrowed.items()}
    scenes: dict[str, Any] = {}
    for older in sorted(path.parent.glob("*.json"), key=lambda other: (other == path, read(other)["measured"])):
        if (other := read(older)).get("machine") == document.get("machine"):
            scenes |= other.get("scenes", {})
            borrowed |= dict.fromkeys(other.get("scenes", {}), older)
    parts["scenes"] = {name: scenes[name] for name in SCENES if name in scenes}
    return document | parts | {"borrowed": {part: older.name for part, older in borrowed.items() if older != path}}


def _commit() -> str:
    """The commit, marked where files that are in it were changed."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=-changed", "--abbrev=7", "--exclude=*"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    return said.stdout.strip()


def _processor() -> str:
    """The processor's name, and how many cores of it there are."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _machine() -> str:
    return re.sub(r"[^a-z0-9]+", "-", _processor().lower()).strip("-")
