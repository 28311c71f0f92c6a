"""The interface through which a run reports progress."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Literal, Protocol

ZERO: Final = Fraction(0)
Unit = Literal["s", "bytes", "files"]
"""Unit of a stage's total: seconds of output, bytes or files."""


class Progress(Protocol):
    """Receives progress. The methods are called from any thread, as often as every frame, and must not block."""

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        """Begin a stage such as ``composing``.

        Args:
            name: Shown to the user.
            total: Amount of work in ``unit``; None when it is not known.
            unit: Unit of ``total`` and ``done``.
            done: The part of ``total`` that a previous run has completed.
        """

    def advance(self, done: Fraction) -> None:
        """Report the completed part of the stage's total."""


class NoProgress:
    """Ignores progress."""

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        pass

    def advance(self, done: Fraction) -> None:
        pass
