"""A source of a live plan: the file that journals are becoming."""

from __future__ import annotations

from dataclasses import dataclass

from owtmix.recorder.file_plan import FilePlan


@dataclass(frozen=True, slots=True)
class LiveSource:
    """``plan`` says how the file will be made; it begins at ``start_us``, in microseconds since 1970."""

    plan: FilePlan
    start_us: int

    @property
    def key(self) -> tuple[str, int]:
        """Tells sources apart, also from one plan to the next."""
        return self.plan.name, self.start_us
