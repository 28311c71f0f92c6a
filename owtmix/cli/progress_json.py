"""Progress of a job for programs: a JSON object a second on standard error, and every few seconds without progress."""

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
REPEAT_S: Final = 5.0
"""After so long without progress the last values are told again: a program takes long silence for a hang."""


@contextmanager
def report_progress(job_id: str) -> Iterator[Progress]:
    """Report the progress of a job: at once when a stage begins, and then at most every ``EVERY_S`` seconds.

    Without progress the same is reported again every ``REPEAT_S`` seconds, also before the first stage.
    """
    lines, is_over = _JsonLines(job_id), threading.Event()
    thread = threading.Thread(target=lines.repeat, args=(is_over,), name="progress", daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        is_over.set()
        thread.join()


@dataclass(slots=True)
class _Stage:
    name: str
    total: Fraction | None
    unit: Unit
    before: Fraction
    since_s: float
    told_s: float
    done: Fraction
    done_s: float


class _JsonLines:
    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._lock = threading.Lock()
        now_s = time.monotonic()
        self._stage = _Stage("starting", None, "s", ZERO, now_s, now_s, ZERO, now_s)

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._stage = _Stage(name, total, unit, done, now_s, now_s, done, now_s)
            _write(self._values())

    def advance(self, done: Fraction) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._stage.done, self._stage.done_s = done, now_s
            self._tell(now_s, EVERY_S)

    def repeat(self, is_over: threading.Event) -> None:
        """Tell the last values again until it is over."""
        while not is_over.wait(REPEAT_S / 2):
            with self._lock:
                self._tell(time.monotonic(), REPEAT_S)

    def _tell(self, now_s: float, every_s: float) -> None:
        if now_s - self._stage.told_s >= every_s:
            self._stage.told_s = now_s
            _write(self._values())

    def _values(self) -> dict[str, Any]:
        stage = self._stage
        done, lasted_s = stage.done, stage.done_s - stage.since_s
        rate = float(done - stage.before) / lasted_s if lasted_s > 0 else 0.0
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
