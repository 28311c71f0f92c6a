"""How a run tells how far it is, without knowing who listens."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol


class Progress(Protocol):
    """A listener. Both methods may be called from any thread, for every frame, and return at once."""

    def stage(self, name: str, total_s: Fraction | None) -> None:
        """A stage begins, such as ``composing``: ``total_s`` seconds of output, or None where that says nothing."""

    def advance(self, done_s: Fraction) -> None:
        """``done_s`` seconds of the stage's output are done, counted from the stage's start."""


class Silence:
    """Nobody listens."""

    def stage(self, name: str, total_s: Fraction | None) -> None:
        pass

    def advance(self, done_s: Fraction) -> None:
        pass
