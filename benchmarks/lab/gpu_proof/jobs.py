"""Whole jobs of a part: their commands, and what their outputs have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av

from benchmarks.case import Case


def job_command(case: Case, device: str, workers: int, output: Path) -> list[str]:
    """The command that composes a scene anew, with a state folder of its own beside ``output``."""
    options = {"--device": device, "--workers": str(workers), "--index": str(case.index), "--output": str(output)}
    state = output.with_suffix(".state")
    words = [word for pair in (options | {"--state": str(state)}).items() for word in pair]
    return [sys.executable, "-m", "owtmix", "--quiet", "--json", "--fresh", *words, str(case.cfg)]


def start(command: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a job's command. Its errors go to the log of the part."""
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)


def report_of(said: str) -> Mapping[str, Any]:
    """What a job printed, or an empty report of one that failed."""
    try:
        report = dict(json.loads(said))
    except ValueError:
        return {}
    return report if "device" in report else {}


def told(report: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """The facts of a finished job: what composed and decoded, its warnings, and the frames that its output has."""
    decoders = {name for entry in report["inputs"] if entry["picture"] for name in entry["picture"]["decoders"]}
    return {
        "composed_on": report["device"]["composed_on"],
        "encoder": report["device"]["encoder"],
        "why": report["device"]["why"],
        "decoders": sorted(decoders),
        "frames": frames_of(output),
        "warnings": report["warnings"],
        "seconds": report["seconds"],
    }


def frames_of(output: Path) -> int:
    """How many frames can be decoded of an output."""
    with av.open(str(output)) as container:
        return sum(1 for _ in container.decode(video=0))
