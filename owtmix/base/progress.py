"""How a run tells how far it is, without knowing who listens."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Literal, Protocol

ZERO: Final = Fraction(0)
Unit = Literal["s", "bytes", "files"]
"""Of what a stage has."""


class Progress(Protocol):
    """A listener. Both methods may be called from any thread, for every frame, and return at once."""

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        """A stage begins, such as ``composing``: seconds of output, bytes or files; None where none says anything.

        ``done`` of it was there before.
        """

    def advance(self, done: Fraction) -> None:
        """So much of the stage is done, counted from its start."""


class NoProgress:
    """Nobody listens."""

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        pass

    def advance(self, done: Fraction) -> None:
        pass
