"""Progress that is recorded."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from owtmix.base.progress import ZERO, Unit


class RecordingProgress:
    """A ``Progress`` that records its stages and, among them, the completed parts.

    ``on_stage`` is called with the name of each stage, and may raise.
    """

    def __init__(self, on_stage: Callable[[str], None] = lambda _: None) -> None:
        self.reports: list[tuple[str, Fraction | None, Unit, Fraction] | Fraction] = []
        self._on_stage = on_stage

    @property
    def stages(self) -> list[str]:
        """The names of the stages, in order."""
        return [report[0] for report in self.reports if isinstance(report, tuple)]

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        self.reports.append((name, total, unit, done))
        self._on_stage(name)

    def advance(self, done: Fraction) -> None:
        self.reports.append(done)
