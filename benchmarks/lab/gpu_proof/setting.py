"""What a part is told, and what it tells."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """What all parts are told.

    Attributes:
        pretend: there is no card; the CPU stands in for it.
        work: a folder for what parts make; what one has made others may use.
        seconds: the length of each scene.
        recordings: a folder with files to decode; None where they are made.
        limit_s: how long the part may take.
    """

    pretend: bool
    work: Path
    seconds: float
    recordings: Path | None = None
    limit_s: float = 60.0

    def to_json(self) -> str:
        """For the command line of a part."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Setting:
        """The opposite of ``to_json``."""
        found = json.loads(text)
        recordings = found["recordings"]
        return cls(**(found | {"work": Path(found["work"]), "recordings": recordings and Path(recordings)}))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a part found. ``ok`` says whether it is as it should be; None where it is only a fact."""

    what: str
    found: Any
    ok: bool | None = None


def tried(what: str, probe: Callable[[], Finding]) -> Finding:
    """What ``probe`` finds or, as a finding that is wrong, how it fails: what comes after it must not be lost."""
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        traceback.print_exc()
        return Finding(what, f"fails: {type(error).__name__}: {error}", ok=False)


UNTRIED = "not tried"


def untried(lines: str) -> Finding:
    """What the CPU cannot stand in for."""
    return Finding(UNTRIED, lines)
