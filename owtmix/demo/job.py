"""The job of the sample room."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from owtmix.demo.room import ROOM

_JOB: Final = Path(__file__).parent / "cfg.json"
"""``mixer/cfg.json`` without the address of its schema, which only a checkout has."""


def write_job(folder: Path) -> Path:
    """Write the job of the sample room to ``folder/cfg.json``, unless it is there, perhaps edited; returns its path.

    Raises:
        FileExistsError: another job is there.
    """
    path = folder / "cfg.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_JOB, path)
    elif not _composes_the_room(path):
        raise FileExistsError(f"{path} is another job: name another folder, as in python -m owtmix.demo demo")
    return path


def sample_job() -> dict[str, Any]:
    """The job of the sample room."""
    job: dict[str, Any] = json.loads(_JOB.read_bytes())
    return job


def _composes_the_room(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_bytes())["Internal"]["JobId"] == ROOM)
    except (KeyError, TypeError, ValueError):
        return False
