"""An output with next to nothing in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from owtmix.base.errors import RenderError
from owtmix.outputs.base import FinishedTracks
from owtmix.plan.model import RenderPlan


@dataclass
class RecordingOutput:
    """An ``Output`` that records what it is made of. With ``damaged`` it is not what was planned."""

    path: Path
    name: str = "the recorded output"
    damaged: bool = False
    written: list[tuple[RenderPlan, FinishedTracks]] = field(default_factory=list)
    verified: list[RenderPlan] = field(default_factory=list)

    def write(self, plan: RenderPlan, tracks: FinishedTracks) -> None:
        self.written.append((plan, tracks))
        self.path.write_bytes(b"output")

    def verify(self, plan: RenderPlan) -> None:
        if self.damaged:
            raise RenderError(f"{self.name} is damaged")
        self.verified.append(plan)
