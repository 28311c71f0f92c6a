"""What composes a case, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.measurement import Cost


@dataclass(frozen=True, slots=True)
class Made:
    """What an engine made of a case, what that cost, and what it said of it."""

    cost: Cost
    output: Path
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to compose. ``missing`` says why it cannot compose a case, or nothing."""

    name: str
    compose: Callable[[Case], Made]
    missing: Callable[[Case], str] = lambda _: ""
