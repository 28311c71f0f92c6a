"""An output that is one file: muxed from the tracks, and read back. Each container is a subclass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

from owtmix.outputs.base import FinishedTracks
from owtmix.plan.model import RenderPlan


@dataclass(frozen=True, slots=True)
class MuxedFile:
    """The file ``path`` in the format ``container``."""

    container: ClassVar[Literal["mp4", "webm"]]
    path: Path
    name: Final = "the finished file"

    def write(self, plan: RenderPlan, tracks: FinishedTracks) -> None:
        from owtmix.outputs.mux import mux  # noqa: PLC0415 - loads the media library, in the worker

        mux(plan, tracks, self.path, self.container)

    def verify(self, plan: RenderPlan) -> None:
        from owtmix.outputs.verify import verify  # noqa: PLC0415 - as above

        verify(self.path, plan.picture, plan.sound)
