"""The result files: one for each day, commit and machine, in JSON."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.ffmpeg import version
from benchmarks.measure import CORES
from benchmarks.scenes import SCENES

PARTS: Final = ("chunks", "gpu", "sweep")
"""The parts that experiments of ``benchmarks.lab`` measure."""
RESULTS: Final = Path(__file__).parent / "results"


def add(folder: Path, part: str, key: str, value: Any, ffmpeg_version: Callable[[], str] = version) -> Path:
    """Keep ``value`` as ``part[key]`` in the file of today, this commit and this machine; returns the file.

    Parts that the file has already stay; a scene that is measured again replaces its older results.
    """
    now, commit, processor = datetime.now(UTC), _commit(), _processor()
    machine = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    path = folder / f"{now:%Y-%m-%d}_{commit}_{machine}.json"
    document = (read(path) if path.exists() else {}) | {
        "commit": commit,
        "machine": processor,
        "cores": CORES,
        "python": platform.python_version(),
        "ffmpeg": ffmpeg_version(),
        "measured": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    document.setdefault(part, {})[key] = value
    folder.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return written.replace(path)


def read(path: Path) -> dict[str, Any]:
    """A result file."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def newest(folder: Path = RESULTS, part: str | None = None) -> Path | None:
    """The file that was measured last, of all files or of those that have ``part``; None where there is none."""
    paths = (path for path in folder.glob("*.json") if part is None or part in read(path))
    return max(paths, key=lambda path: (read(path)["measured"], path.name), default=None)


def completed(path: Path) -> dict[str, Any]:
    """A result file, completed by the newest ``PARTS`` and scenes of the other files in its folder.

    Only scenes of the same machine are taken. ``borrowed`` has the file of each part and scene that was taken.
    """
    document = read(path)
    found = {part: newest(path.parent, part) for part in PARTS if part not in document}
    taken = {part: older for part, older in found.items() if older}
    parts = {part: read(older)[part] for part, older in taken.items()}
    scenes: dict[str, Any] = {}
    for older in sorted(path.parent.glob("*.json"), key=lambda other: (other == path, read(other)["measured"])):
        if (other := read(older)).get("machine") == document.get("machine"):
            scenes |= other.get("scenes", {})
            taken |= dict.fromkeys(other.get("scenes", {}), older)
    parts["scenes"] = {name: scenes[name] for name in SCENES if name in scenes}
    return document | parts | {"borrowed": {part: older.name for part, older in taken.items() if older != path}}


def borrowed(document: Mapping[str, Any], part: str) -> Iterator[str]:
    """The sentence that names the other file from which a part or scene was taken, if it was."""
    if name := document.get("borrowed", {}).get(part):
        yield f"From `benchmarks/results/{name}`."


def _commit() -> str:
    """The commit, marked where its files were changed."""
    command = ["git", "describe", "--always", "--dirty=-changed", "--abbrev=7", "--exclude=*"]
    return subprocess.check_output(command, text=True, cwd=Path(__file__).parent).strip()


def _processor() -> str:
    """The processor's name, and the number of its cores."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return f"{names[0] if names else platform.machine()}, {CORES} cores"
