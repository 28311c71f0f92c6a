"""Standard output: the result of a command or its failure, as JSON for programs and as text for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from owtmix.base.errors import DestinationError, MixError
from owtmix.base.plain_text import plain_json


def prints_json(argv: Sequence[str]) -> bool:
    """Whether the result of a command with the arguments ``argv`` is JSON."""
    asks_quiet = any(argument in {"-q", "--quiet"} for argument in argv)
    return "--json" in argv or not (asks_quiet or is_terminal())


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def json_text(value: object) -> str:
    """``value`` as JSON for standard output."""
    return plain_json(json.dumps(value, ensure_ascii=False, indent=2))


def failure(error: MixError, job_id: str | None) -> dict[str, Any]:
    """A failure as JSON values: whose turn it is (``exit_status``), the ``RetCode`` of the API, and every problem."""
    problems = [
        {"path": problem.path, "message": problem.message, "code": problem.code}
        for problem in getattr(error, "problems", ())
    ]
    return {
        "error": {
            "type": type(error).__name__,
            "message": str(error),
            "exit_status": error.exit_status,
            "code": error.code,
            "job_id": job_id,
            "problems": problems,
        }
    }


def print_text(text: str) -> None:
    """Write to standard output. A closed pipe is not an error: the reader has stopped reading.

    Raises:
        DestinationError: standard output cannot be written.
    """
    if sys.stdout is None:  # it was closed when the process started
        return
    try:
        sys.stdout.buffer.write(text.encode(errors="backslashreplace") + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout at exit; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise DestinationError(f"standard output cannot be written: {error.strerror}") from error
