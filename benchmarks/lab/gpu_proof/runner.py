"""Runs parts, each in a process of its own with a time limit. Loads nothing that a card machine might lack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Final

from benchmarks.lab.gpu_proof.setting import Setting

ROOT: Final = Path(__file__).resolve().parents[3]
PACKAGE: Final = "owtmix"
LEAST_S: Final = 5.0
"""A part with less time is not begun."""
KILLED_S: Final = 5.0
"""How long a killed process may take to end; one that a driver holds may never."""
LAST_LINES: Final = 12


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the proof: a module of ``benchmarks.lab.gpu_proof.parts``."""

    name: str
    limit_s: float
    about: str


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files in which everything ends up."""

    results: Path
    log: Path
    summary: Path

    @classmethod
    def made(cls, folder: Path) -> Outputs:
        """Empty files in ``folder``."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        outputs = cls(folder / "results.jsonl", folder / "log.txt", folder / "summary.txt")
        for path in (outputs.results, outputs.log, outputs.summary):
            path.write_bytes(b"")
        return outputs


@dataclass(frozen=True, slots=True)
class Ended:
    """How a part ended: ``done``, or what went ``wrong``; and the last lines that it said."""

    name: str
    seconds: float
    wrong: str = ""
    last_lines: Sequence[str] = field(default=())


Command = Callable[[Part, Setting, Path], Sequence[str]]


def part_command(part: Part, setting: Setting, results: Path) -> Sequence[str]:
    """The command of a part."""
    return sys.executable, "-m", "benchmarks.lab.gpu_proof.child", part.name, str(results), setting.to_json()


def run_parts(
    parts: Sequence[Part], setting: Setting, outputs: Outputs, total_s: float, command: Command = part_command
) -> list[Ended]:
    """Run the parts one after the other, until ``total_s`` are over. How each ended is added to the results."""
    end_s, ended, environment = time.monotonic() + total_s, [], _environment(setting.work)
    for part in parts:
        limit_s = min(part.limit_s, end_s - time.monotonic())
        if limit_s < LEAST_S:
            ended.append(Ended(part.name, 0.0, "not begun: no time is left"))
        else:
            print(f"{part.name}: {part.about}", file=sys.stderr, flush=True)
            told = replace(setting, limit_s=limit_s)
            ended.append(_run(part.name, command(part, told, outputs.results), environment, outputs.log, limit_s))
        how, seconds = ended[-1].wrong or "done", ended[-1].seconds
        with outputs.results.open("a", encoding="utf-8") as file:
            print(json.dumps({"part": part.name, "ended": how, "s": round(seconds, 2)}), file=file)
        print(f"{part.name}: {how} in {seconds:.1f} s", file=sys.stderr, flush=True)
    return ended


def _run(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, limit_s: float) -> Ended:
    start, wrong = time.monotonic(), ""
    with log.open("ab") as said:
        said.write(f"\n== {name}\n".encode())
        said.flush()
        begun_at = said.tell()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            if status := child.wait(limit_s):
                wrong = f"crashed with status {status}"
        except subprocess.TimeoutExpired:
            wrong = f"ended after its limit of {limit_s:.0f} s"
        finally:
            _end(child)
    with log.open("rb") as said:
        said.seek(begun_at)
        lines = said.read().decode(errors="replace").splitlines()
    return Ended(name, time.monotonic() - start, wrong, lines[-LAST_LINES:] if wrong else ())


def _environment(work: Path) -> dict[str, str]:
    """The environment, with this checkout among the modules: parts start processes in other folders."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    if not _is_installed():
        paths.append(str(_described(work / "described")))
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _is_installed() -> bool:
    try:
        return bool(metadata.version(PACKAGE))
    except metadata.PackageNotFoundError:
        return False


def _described(folder: Path) -> Path:
    """A folder that describes the package, since outputs are marked with its version; its code is in the checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    described = folder / f"{PACKAGE}-{project['version']}.dist-info"
    described.mkdir(parents=True, exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {project['version']}\n"
    (described / "METADATA").write_text(text, encoding="utf-8")
    return folder


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a part and all that it started and left in its session."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        child.wait(KILLED_S)
