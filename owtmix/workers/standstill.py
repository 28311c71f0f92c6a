"""Bounds of what workers report in all: how long they may get nowhere, and how much they may warn of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TIMES_SILENCE: Final = 60
"""Each task may take this many times the longest silence: an hour, by default; more by its own ``longest_s``.

The longest that honest ones take without one is to decode hours of a picture that has one key frame, up to where a
chunk begins.
"""
MOST_WARNED: Final = 1 << 20
"""In characters, of all warnings of all tasks."""


class Standstill:
    """How long all tasks of a run have got nowhere: none began or ended, and nothing arrived that they wait for.

    What they report does not count: a worker that hostile media has taken over reports anything.
    """

    def __init__(self) -> None:
        self.lasted_s = 0.0
        self._seen: tuple[object, ...] = ()

    def note(self, *state: object) -> None:
        """Take note of what changes when something gets on."""
        if state != self._seen:
            self._seen, self.lasted_s = state, 0.0


class WarningBound:
    """Passes warnings on to ``receive``, up to ``MOST_WARNED`` characters of them."""

    def __init__(self, receive: Callable[[str], None]) -> None:
        self._receive = receive
        self._left = MOST_WARNED

    def __call__(self, message: str) -> None:
        if self._left < 0:
            return
        self._left -= len(message)
        self._receive(message if self._left >= 0 else "there are too many warnings: further ones are left out")
