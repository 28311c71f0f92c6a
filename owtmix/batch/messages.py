"""What a run of ``owt-main`` says: progress and log lines on standard error, one JSON document on standard output."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import own_file
from owtmix.base.plain_text import plain_line
from owtmix.base.strict_json import printable
from owtmix.batch.attempt import JobProgress
from owtmix.batch.outside import number_of

LARGEST_REPORT: Final = 4 * 2**20
"""In bytes. The result of a room of 10,000 recordings is a part of it."""
LARGEST_LOG: Final = 2**20
"""In bytes, of one attempt."""
LONGEST_LINE: Final = 2**16
LONGEST_ERROR: Final = 1000
"""In characters."""
_LONGEST_STAGE: Final = 40
_PROGRESS: Final = b'{"progress"'
_ERROR: Final = re.compile(r"(?:^| )error: (.*)")
_MOST_PERCENT: Final = 100.0


class Report:
    """Standard output of a run."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._is_too_long = False

    def feed(self, data: bytes) -> None:
        """Take some of it; nothing is kept of one that is too long."""
        self._is_too_long = self._is_too_long or len(self._data) + len(data) > LARGEST_REPORT
        if self._is_too_long:
            self._data.clear()
        else:
            self._data += data

    def document(self) -> Mapping[str, Any] | None:
        """The JSON object that it is; None when it is none."""
        try:
            document = json.loads(self._data)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None


class Messages:
    """Standard error of a run. Log lines go to the file ``log``, which is made with the first of them."""

    def __init__(self, log: Path, title: str) -> None:
        self.progress = JobProgress()
        self.last_error = ""
        self._log = log
        self._title = title
        self._file: BufferedWriter | None = None
        self._left = LARGEST_LOG
        self._line = bytearray()

    def feed(self, data: bytes) -> None:
        """Take some of it."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line += line
            self._take(bytes(self._line[:LONGEST_LINE]))
            self._line.clear()
        self._line += rest[: LONGEST_LINE - len(self._line)] if len(self._line) < LONGEST_LINE else b""

    def close(self) -> None:
        """Take the last line, and close the log."""
        if self._line:
            self._take(bytes(self._line))
        if self._file:
            with suppress(OSError):
                self._file.close()

    def _take(self, line: bytes) -> None:
        if line.startswith(_PROGRESS) and (progress := _progress(line)):
            self.progress = progress
            return
        text = line.decode(errors="replace")
        if found := _ERROR.search(text):
            self.last_error = found[1]
        self._write(plain_line(text).encode(errors="backslashreplace") + b"\n")

    def _write(self, line: bytes) -> None:
        """Write a line to the log, as far as there is room for it; a full disk is told by the results file."""
        if self._left <= 0:
            return
        self._left -= len(line)
        if self._left <= 0:
            line = b"what followed is left out\n"
        with suppress(OSError):
            if self._file is None:
                descriptor = own_file(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                self._file = os.fdopen(descriptor, "ab")
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                self._file.write(f"{now} {plain_line(self._title)}\n".encode(errors="backslashreplace"))
            self._file.write(line)
            self._file.flush()


def describe_end(exit_status: int, report: Mapping[str, Any] | None, last_error: str) -> str:
    """Why a run failed, in a sentence: the first line of what it said; empty when it did not."""
    if exit_status == 0:
        return ""
    error = report.get("error") if report else None
    message = error.get("message") if isinstance(error, Mapping) else None
    said = message if isinstance(message, str) and message else last_error
    said = said.strip().partition("\n")[0]
    if exit_status < 0:
        name = _signal_name(-exit_status)
        said = f"killed by {name}" + (f" after: {said}" if said else "")
    return printable(said or f"it ended with status {exit_status} and said nothing", LONGEST_ERROR)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _progress(line: bytes) -> JobProgress | None:
    try:
        values = json.loads(line)["progress"]
        stage = printable(str(values.get("stage") or ""), _LONGEST_STAGE)
        return JobProgress(stage, number_of(values.get("percent"), _MOST_PERCENT), number_of(values.get("left_s")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
