"""Text for programs arrives whole, or is told to have failed."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from owtmix.base.errors import DestinationError
from owtmix.base.standard_output import print_text


class Unbuffered(io.RawIOBase):
    """Takes so many bytes at a time, and at most ``room`` altogether, as Python does with ``PYTHONUNBUFFERED``."""

    def __init__(self, step: int, room: int) -> None:
        self.taken = b""
        self._step = step
        self._room = room

    def write(self, data: Any) -> int | None:
        count = min(self._step, self._room - len(self.taken), len(data))
        if not count:
            return None  # it would block
        self.taken += bytes(data[:count])
        return count


class Output:
    """A standard output with a buffer."""

    def __init__(self, buffer: Unbuffered) -> None:
        self.buffer = buffer


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_write_that_takes_only_a_part_is_gone_on_with(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    output = Unbuffered(step, 10_000)
    monkeypatch.setattr(sys, "stdout", Output(output))
    print_text("abc" * 100)
    assert output.taken == b"abc" * 100 + b"\n"


def test_what_cannot_be_written_wholly_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Output(Unbuffered(7, 100)))
    with pytest.raises(DestinationError, match="standard output cannot be written"):
        print_text("abc" * 100)
