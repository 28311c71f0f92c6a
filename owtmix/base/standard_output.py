"""Standard output: text for people, JSON for programs."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from owtmix.base.errors import DestinationError, MixError, Problem
from owtmix.base.plain_text import plain_json


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def json_text(value: object) -> str:
    """``value`` as JSON for standard output."""
    return plain_json(json.dumps(value, ensure_ascii=False, indent=2))


def failure(error: MixError, *, exit_status: int | None = None, job_id: str | None = None) -> dict[str, Any]:
    """A failure as JSON values: whose turn it is (``exit_status``), the ``RetCode`` of the API, and every problem."""
    found = (one if isinstance(one, Problem) else Problem("", str(one), error.code) for one in _problems(error))
    return {
        "error": {
            "type": type(error).__name__,
            "message": str(error),
            "exit_status": error.exit_status if exit_status is None else exit_status,
            "code": error.code,
            "job_id": job_id,
            "problems": [{"path": one.path, "message": one.message, "code": one.code} for one in found],
        }
    }


def _problems(error: MixError) -> Sequence[Problem | str]:
    """Those of an error that has several."""
    problems: Sequence[Problem | str] = getattr(error, "problems", ())
    return problems


def print_text(text: str) -> None:
    """Write a text to standard output, as ``print_parts``."""
    print_parts([text])


def print_parts(parts: Iterable[str]) -> None:
    """Write a text to standard output, part by part.

    A closed pipe is not an error: the reader has stopped reading.

    Raises:
        DestinationError: standard output cannot be written.
    """
    if sys.stdout is None:  # it was closed when the process started
        return
    try:
        for part in chain(parts, "\n"):
            _write(memoryview(part.encode(errors="backslashreplace")))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout at exit; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise DestinationError(f"standard output cannot be written: {error.strerror}") from error


def _write(data: memoryview) -> None:
    while data:  # where Python does not buffer, a write may take only a part
        taken = sys.stdout.buffer.write(data)
        if not taken:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        data = data[taken:]
