"""One row per recording, on its way from the store to the decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from owtmix.plan.media_info import Probe
from owtmix.storage import LocalCopy


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A recording of a job.

    ``key`` names it in the store, ``copy`` is the local file that it is or will be. ``probe`` says what it holds, once
    it was measured. ``version`` changes when its content does.
    """

    key: str
    copy: LocalCopy
    probe: Probe | None = None
    version: str = ""

    @property
    def path(self) -> Path:
        """The local file."""
        return self.copy.path

    def measured(self, probe: Probe) -> SourceFile:
        """The row with what was found, and the version that was measured.

        The names of fetched files tell versions apart; a file in its own place is known by its size and time.
        """
        if self.copy.size_bytes:
            version = self.path.name
        else:
            state = self.path.stat()
            version = f"{self.path} {state.st_size} {state.st_mtime_ns}"
        return replace(self, probe=probe, version=version)
