"""The protocol of outputs, which are made from finished tracks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from owtmix.plan.model import RenderPlan


@dataclass(frozen=True, slots=True)
class FinishedTracks:
    """The files with the chunks of a plan's picture, in order, and with its sound, if any."""

    chunks: tuple[Path, ...]
    sound: Path | None

    @property
    def size_bytes(self) -> int:
        """The disk space of all tracks."""
        return sum(track.stat().st_size for track in (*self.chunks, *([self.sound] if self.sound else [])))


class Output(Protocol):
    """A file that is made of finished tracks. Picklable; both methods run in a worker.

    A kind of output is a module with such a class, and a row in ``registry.py``.
    """

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def name(self) -> str:
        """The output in messages, as in "the finished file"."""

    def write(self, plan: RenderPlan, tracks: FinishedTracks) -> None:
        """Write the file.

        Raises:
            RenderError: the tracks are not as planned.
            DestinationError: the disk takes no more.
        """

    def verify(self, plan: RenderPlan) -> None:
        """Read the file back.

        Raises:
            RenderError: the file is not as planned.
        """
