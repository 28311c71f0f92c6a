"""Progress of a job for programs: a JSON object a second on standard error."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from owtmix.base.plain_text import plain_json
from owtmix.base.progress import ZERO, Progress, Unit

EVERY_S: Final = 1.0


@contextmanager
def report_progress(job_id: str) -> Iterator[Progress]:
    """Report the progress of a job: at once when a stage begins, and then at most every ``EVERY_S`` seconds."""
    yield _JsonLines(job_id)


@dataclass(slots=True)
class _Stage:
    name: str
    total: Fraction | None
    unit: Unit
    before: Fraction
    since_s: float
    told_s: float


class _JsonLines:
    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._lock = threading.Lock()
        self._stage: _Stage | None = None

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._stage = _Stage(name, total, unit, done, now_s, now_s)
            _write(self._values(self._stage, done, now_s))

    def advance(self, done: Fraction) -> None:
        now_s = time.monotonic()
        with self._lock:
            if self._stage is None or now_s - self._stage.told_s < EVERY_S:
                return
            self._stage.told_s = now_s
            _write(self._values(self._stage, done, now_s))

    def _values(self, stage: _Stage, done: Fraction, now_s: float) -> dict[str, Any]:
        rate = float(done - stage.before) / (now_s - stage.since_s) if now_s > stage.since_s else 0.0
        return {
            "job_id": self._job_id,
            "stage": stage.name,
            "done": round(float(done), 3),
            "total": round(float(stage.total), 3) if stage.total else None,
            "unit": stage.unit,
            "percent": round(float(100 * done / stage.total), 1) if stage.total else None,
            "left_s": round(float(stage.total - done) / rate, 1) if stage.total and rate > 0 else None,
        }


def _write(values: dict[str, Any]) -> None:
    """Write a line. A closed standard error does not stop the run."""
    try:
        sys.stderr.write(plain_json(json.dumps({"progress": values}, ensure_ascii=False)) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
