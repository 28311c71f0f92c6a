"""The child process: reads tasks from standard input, does them one by one, writes reports to standard output.

Before the tasks comes a line of JSON with the terms of its confinement; the first report says which layers hold.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO, Final

from owtmix.workers.file_access import FileAccess
from owtmix.workers.sandbox import confine

REPORT_EVERY_S: Final = 0.1
LONGEST_MESSAGE: Final = 4000
LONGEST_TRACE: Final = 40_000
"""In characters. The parent takes no longer ones."""


def main(parent: int) -> None:
    """Serve tasks until standard input ends."""
    with os.fdopen(os.dup(0), "rb") as tasks, os.fdopen(os.dup(1), "wb", buffering=0) as pipe:
        # Output of libraries must not mix with reports, and no library may read the tasks.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        terms = json.loads(tasks.readline())
        access = FileAccess.from_json(terms["access"])
        if folder := access.bench():
            os.environ["TMPDIR"] = str(folder)
        held = confine(parent, access, terms["file_bytes"])
        reporter = _PipeReporter(pipe)
        reporter.send("confined", held)
        if set(terms["required"]) <= set(held):
            _serve(tasks, reporter)


def _serve(tasks: BinaryIO, reporter: _PipeReporter) -> None:
    from pydantic import TypeAdapter  # noqa: PLC0415 - after the confinement, like all further imports

    from owtmix.base.shortage import machine_error  # noqa: PLC0415
    from owtmix.workers.base import ERRORS  # noqa: PLC0415

    while True:
        try:
            task = pickle.load(tasks)  # noqa: S301 - from the parent
        except EOFError:
            return
        except Exception:  # noqa: BLE001 - code that was replaced while the job runs
            reporter.send("failure", traceback.format_exc()[-LONGEST_TRACE:])
            return
        reporter.send("begun", None)
        try:
            value = task.run(reporter)
            reporter.send("result", TypeAdapter(task.result).dump_python(value, mode="json"))
        except tuple(ERRORS.values()) as error:
            reporter.send("error", [type(error).__name__, str(error)[:LONGEST_MESSAGE]])
        except Exception as error:  # noqa: BLE001 - the parent decides
            if found := machine_error(error):
                reporter.send("error", [type(found).__name__, str(found)])
            else:
                reporter.send("failure", traceback.format_exc()[-LONGEST_TRACE:])


class _PipeReporter:
    """Reports as lines of JSON. Progress and heartbeats are sent at most every ``REPORT_EVERY_S``."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._next = 0.0
        self._quiet_until = 0.0

    def advance(self, done_s: float) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_EVERY_S
            self.checkpoint(done_s)

    def checkpoint(self, done_s: float) -> None:
        self.send("progress", float(done_s))

    def heartbeat(self) -> None:
        if time.monotonic() >= self._quiet_until:
            self.send("waiting", None)

    def warn(self, message: str) -> None:
        self.send("warning", message[:LONGEST_MESSAGE])

    def send(self, kind: str, value: object) -> None:
        self._quiet_until = time.monotonic() + REPORT_EVERY_S
        line = memoryview(json.dumps([kind, value]).encode() + b"\n")
        with self._lock:
            while line:
                line = line[self._pipe.write(line) :]


if __name__ == "__main__":
    main(int(sys.argv[1]))
