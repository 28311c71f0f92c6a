"""Parses the reports of a worker: lines of JSON from a process that hostile media may have taken over."""

from __future__ import annotations

import json
import logging
import math
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from owtmix.base.errors import MixError, RenderError
from owtmix.workers.base import ERRORS, Task

_log = logging.getLogger(__name__)

LONGEST_LINE: Final = 64 << 20
MOST_WARNINGS: Final = 1000
"""Of one task."""
LONGEST_MESSAGE: Final = 4000
"""In characters; longer messages are cut."""
LONGEST_TRACE: Final = 40_000
"""In characters; of a longer traceback the end is logged."""

_HUGE: Final = re.compile(rb'"[-+]?[\d.]+[eE]|[\[,:"]\s*+[-+]?[\d./]{500,}')
"""A quoted number with an exponent, or a number of many digits. No result contains one, and exact arithmetic with them
takes for ever."""


class ProtocolError(Exception):
    """A worker violates the protocol; the message completes "it ..."."""


def parse_greeting(line: bytes) -> tuple[str, ...]:
    """The layers of confinement that a new worker names in its first line, before it reads any media.

    Raises:
        ProtocolError: the line says something else.
    """
    try:
        kind, held = json.loads(line)
        if kind == "confined":
            return tuple(map(str, held))
    except (ValueError, TypeError):
        pass
    raise ProtocolError("does not say how it is confined")


@dataclass(frozen=True, slots=True)
class TaskReply:
    """The final reply of a worker: the value of its task, or its error."""

    value: Any = None
    error: MixError | None = None


class ReplyParser:
    """Parses the reports of one worker about one task.

    ``begun`` says whether the task was begun with; ``done_s`` is the last progress reported, in seconds.
    """

    def __init__(self) -> None:
        self.begun = False
        self.done_s = 0.0
        self._warnings = 0
        self._partial: list[bytes] = []
        self._length = 0

    def feed(self, data: bytes, task: Task) -> tuple[list[str], TaskReply | None]:
        """Take in the next bytes; returns the warnings in them, and the final reply if it is complete.

        Raises:
            ProtocolError: the worker violates the protocol.
        """
        warnings: list[str] = []
        *lines, rest = data.split(b"\n")
        for number, piece in enumerate(lines):
            line = self._complete(piece)
            try:
                reply = self._parse_line(line, task, warnings)
            except (ValueError, KeyError, TypeError, IndexError, ArithmeticError, RecursionError, ValidationError):
                raise ProtocolError("sends a line that cannot be parsed") from None
            if reply:
                if rest or lines[number + 1 :]:
                    raise ProtocolError("sends lines after its result")
                return warnings, reply
        self._buffer(rest)
        return warnings, None

    def _buffer(self, piece: bytes) -> None:
        self._partial.append(piece)
        self._length += len(piece)
        if self._length > LONGEST_LINE:
            raise ProtocolError("sends a line that does not end")

    def _complete(self, piece: bytes) -> bytes:
        line = b"".join([*self._partial, piece])
        self._partial, self._length = [], 0
        return line

    def _parse_line(self, line: bytes, task: Task, warnings: list[str]) -> TaskReply | None:
        kind, value = json.loads(line)
        match kind:
            case "begun" | "waiting":
                self.begun = True
                return None
            case "progress":
                if not math.isfinite(value):
                    raise ValueError(value)
                self.done_s = float(value)
                return None
            case "warning":
                self._warnings += 1
                if self._warnings <= MOST_WARNINGS:
                    warnings.append(_short(value))
                return None
            case "result" if not _HUGE.search(line):
                return TaskReply(TypeAdapter(task.result).validate_python(value))
            case "error":
                name, message = value
                return TaskReply(error=ERRORS[name](_short(message)))
            case "failure":
                trace = str(value)[-LONGEST_TRACE:]
                _log.debug("%s failed:\n%s", task.name, trace)
                last = trace.strip().rpartition("\n")[2]
                return TaskReply(error=RenderError(f"{task.name} failed: {_short(last)}"))
            case _:
                raise ValueError(kind)


def _short(message: object) -> str:
    return str(message)[:LONGEST_MESSAGE]
