"""Standard output: text for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys

from owtmix.base.errors import DestinationError
from owtmix.base.plain_text import plain_json


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def json_text(value: object) -> str:
    """``value`` as JSON for standard output."""
    return plain_json(json.dumps(value, ensure_ascii=False, indent=2))


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
