"""Parses the reports of a worker: lines of JSON from a process that hostile media may have taken over."""

from __future__ import annotations

import json
import logging
import math
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from owtmix.base.errors import MixError, RenderError
from owtmix.workers.base import ERRORS, Bounded, Replies, Task
from owtmix.workers.child import LONGEST_MESSAGE, LONGEST_TRACE
from owtmix.workers.result_types import validated

_log = logging.getLogger(__name__)

LONGEST_REPORT: Final = 1 << 19
"""In bytes, of a line that is no result: the longest traceback, with every character escaped."""
MOST_WARNINGS: Final = 1000
"""Of one task."""
MOST_WARNED: Final = 1 << 18
"""In characters, of all warnings of one task."""
MOST_DONE_S: Final = 1e12
"""Progress lies between 0 and this. While a recording is measured it is the file's own time, which may be any."""
MOST_VALUES: Final = 1 << 20
"""In a line: a sound in a hundred thousand pieces has less. Each takes some 60 bytes of memory."""
_BEFORE_VALUES: Final = (b",", b"[", b"{", b":")
MOST_DIGITS: Final = 500
"""Of a number in a result. Exact arithmetic with longer ones takes for ever."""
_RESULT: Final = b'["result", '
"""How a result begins; what begins otherwise is short."""
_LIKE_NUMBER: Final = re.compile(r"[\s\d_+\-./eE]+")
"""All characters of numbers as text: ``Fraction`` reads spaces, underscores, exponents, and digits of any script."""
_NUMBER: Final = re.compile(rf"-?[0-9]{{1,{MOST_DIGITS}}}(/[0-9]{{1,{MOST_DIGITS}}})?")
"""The one form in which results have them."""


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
        self._warned = 0
        self._line = bytearray()

    def feed(self, data: bytes, task: Task) -> tuple[list[str], TaskReply | None]:
        """Take in the next bytes; returns the warnings in them, and the final reply if it is complete.

        Raises:
            ProtocolError: the worker violates the protocol.
        """
        warnings: list[str] = []
        *lines, rest = data.split(b"\n")
        for number, piece in enumerate(lines):
            self._buffer(piece, task)
            line = self._complete()
            try:
                reply = self._parse_line(line, task, warnings)
            except (ValueError, KeyError, TypeError, IndexError, ArithmeticError, RecursionError, ValidationError):
                raise ProtocolError("sends a line that cannot be parsed") from None
            if reply:
                if rest or lines[number + 1 :]:
                    raise ProtocolError("sends lines after its result")
                return warnings, reply
        self._buffer(rest, task)
        return warnings, None

    def _buffer(self, piece: bytes, task: Task) -> None:
        self._line += piece
        if len(self._line) > LONGEST_REPORT:
            is_result = self._line.startswith(_RESULT)
            if not is_result or len(self._line) > replies_of(task).result_bytes:
                raise ProtocolError("sends a line that does not end")

    def _complete(self) -> bytes:
        line, self._line = bytes(self._line), bytearray()
        return line

    def _advance(self, done_s: float) -> None:
        if not math.isfinite(done_s):
            raise ValueError(done_s)
        self.done_s = min(max(0.0, done_s), MOST_DONE_S)

    def _bounded(self, message: str) -> list[str]:
        """The message, if it is not one too many."""
        self._warnings += 1
        self._warned += len(message)
        return [message] if self._warnings <= MOST_WARNINGS and self._warned <= MOST_WARNED else []

    def _parse_line(self, line: bytes, task: Task, warnings: list[str]) -> TaskReply | None:
        if sum(map(line.count, _BEFORE_VALUES)) > MOST_VALUES:
            raise ValueError(len(line))
        kind, value = json.loads(line)
        match kind:
            case "begun" | "waiting":
                self.begun = True
                return None
            case "progress":
                self._advance(float(value) if isinstance(value, int | float) else math.nan)
                return None
            case "warning":
                warnings += self._bounded(_short(value))
                return None
            case "result":
                return TaskReply(_result(task, len(line), value))
            case "error":
                name, message = value
                if name not in replies_of(task).errors:
                    raise ValueError(name)
                return TaskReply(error=ERRORS[name](_short(message)))
            case "failure":
                trace = str(value)[-LONGEST_TRACE:]
                _log.debug("%s failed:\n%s", task.name, trace)
                last = trace.strip().rpartition("\n")[2]
                return TaskReply(error=RenderError(f"{task.name} failed: {_short(last)}"))
            case _:
                raise ValueError(kind)


def replies_of(task: Task) -> Replies:
    """What a task may reply."""
    return task.replies if isinstance(task, Bounded) else Replies()


def _result(task: Task, size: int, value: Any) -> Any:
    """The result of a task, whose line has ``size`` bytes.

    Raises:
        ValueError, ArithmeticError: it is none; numbers and text that arithmetic would take for ever with included.
        ProtocolError: this task has no such result.
    """
    if size > replies_of(task).result_bytes:
        raise ValueError(size)
    check_numbers(value)
    result = validated(task.result, value)
    if isinstance(task, Bounded):
        try:
            task.check(result)
        except ValueError as error:
            raise ProtocolError(f"sends a result that cannot be: it {error}") from None
    return result


def check_numbers(value: Any) -> None:
    """Check that no number in JSON values is longer than ``MOST_DIGITS``, and no text that is read as one.

    Raises:
        ValueError: one is.
    """
    left = [value]
    while left:
        match left.pop():
            case str(text) if _LIKE_NUMBER.fullmatch(text) and not _NUMBER.fullmatch(text):
                raise ValueError(text[:MOST_DIGITS])
            case bool():
                pass
            case int(number) if number.bit_length() > 4 * MOST_DIGITS:
                raise ValueError("too large")
            case list(items):
                left += items
            case dict(items):
                left += items.keys()
                left += items.values()


def _short(message: object) -> str:
    return str(message)[:LONGEST_MESSAGE]
