"""Metrics for Prometheus, as a file for the textfile collector of its node exporter."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from owtmix.base.own_files import read_own
from owtmix.base.strict_json import printable
from owtmix.batch.night import Status
from owtmix.batch.policy import FINAL
from owtmix.batch.problems import QueueError
from owtmix.batch.tally import Tally

_log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
_MODE: Final = 0o644
"""The exporter is another user."""
_PREFIX: Final = "owtmix_batch_"
_MOST_BYTES: Final = 1 << 20
_LONGEST_NAME: Final = 1000


def check_metrics_file(path: Path) -> None:
    """Check that a metrics file may be written: only an older one is replaced.

    Raises:
        QueueError: it has another ending, or something else has this name.
    """
    if path.suffix != ".prom":
        raise QueueError(f"the metrics file {printable(str(path), _LONGEST_NAME)} must end in .prom")
    with suppress(FileNotFoundError):
        try:
            data = read_own(path, _MOST_BYTES)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise QueueError(f"the metrics file {path} cannot be replaced: {error.strerror}") from None
        if data and not data.startswith(f"# HELP {_PREFIX}".encode()):
            raise QueueError(f"{path} is no metrics file of a batch: it is not replaced")


class MetricsFile:
    """Writes ``path`` every ``EVERY_S`` seconds, whole. ``queue`` tells batches of one machine apart."""

    def __init__(self, path: Path, queue: str, tally: Tally) -> None:
        self._path = path
        self._queue = queue
        self._tally = tally
        self.busy: Callable[[], int] = lambda: 0
        """How many places are held now."""
        self._next_s = 0.0
        self._has_failed = False

    def look(self, status: Callable[[], Status]) -> None:
        """Write, if it is time to."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            found = status()
            self.write(found.waiting, len(found.running))

    def write(self, waiting: int, running: int) -> None:
        """Write the file. The first failure is a warning; a batch does not end for its metrics."""
        text = render(self._tally, self._queue, waiting, running, self.busy(), time.time())
        try:
            _replace(self._path, text.encode())
        except OSError as error:
            if not self._has_failed:
                _log.warning("the metrics file %s cannot be written: %s", self._path, error.strerror)
            self._has_failed = True


def render(tally: Tally, queue: str, waiting: int, running: int, busy: int, now_s: float) -> str:
    """The metrics as text (Prometheus text format 0.0.4). ``now_s`` is the time in seconds since 1970."""
    lines: list[str] = []

    def add(name: str, kind: str, about: str, label: str, values: Mapping[str, float]) -> None:
        lines.extend((f"# HELP {_PREFIX}{name} {about}", f"# TYPE {_PREFIX}{name} {kind}"))
        for text, value in sorted(values.items()):
            more = f',{label}="{escape(text)}"' if label else ""
            lines.append(f'{_PREFIX}{name}{{queue="{escape(queue)}"{more}}} {value:.15g}')

    add(
        "jobs_total",
        "counter",
        "Jobs that ended in this run.",
        "state",
        {s: tally.ended(s) for s in FINAL},
    )
    add("attempts_total", "counter", "Attempts that ended.", "", {"": tally.attempts})
    add("retries_total", "counter", "Attempts after which the job is tried again.", "reason", tally.retries)
    add("output_seconds_total", "counter", "Length of finished outputs.", "", {"": tally.output_s})
    add("output_bytes_total", "counter", "Size of finished outputs in folders.", "", {"": tally.output_bytes})
    add("cpu_seconds_total", "counter", "CPU time of ended attempts.", "", {"": tally.cpu_s})
    add("jobs", "gauge", "Jobs that are not ended.", "state", {"waiting": waiting, "running": running})
    add("jobs_skipped", "gauge", "Jobs that had ended before this run.", "state", {s: tally.past[s] for s in FINAL})
    add("places_busy", "gauge", "Places of this machine that are held; of a cluster, by this batch.", "", {"": busy})
    add("written_timestamp_seconds", "gauge", "When this was written, in seconds since 1970.", "", {"": now_s})
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """``text`` as the value of a label."""
    text = text.encode(errors="backslashreplace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _replace(path: Path, data: bytes) -> None:
    """Put a file in place of another one; who reads it sees one of them."""
    new = path.with_name(f".{path.name}.{os.getpid()}.part")
    new.unlink(missing_ok=True)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
