"""The record of one recording: its key, its local file, and its measured content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from owtmix.plan.media_info import Probe
from owtmix.storage import LocalCopy


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A recording of a job.

    ``key`` names it in the store, ``copy`` is its local file, which may not exist yet. ``probe`` describes its tracks
    once it is measured. ``version`` changes with its content.
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
        """This record with ``probe`` and the measured version.

        The name of a downloaded file identifies its version; a local file is identified by path, size and time.
        """
        return replace(self, probe=probe, version=self.path.name if self.copy.size_bytes else _local_version(self.path))

    def current_version(self) -> str | None:
        """The version of the recording as it is now; None when that cannot be told."""
        if self.copy.size_bytes:
            return self.copy.version
        try:
            return _local_version(self.path)
        except OSError:
            return None


def _local_version(path: Path) -> str:
    state = path.stat()
    return f"{path} {state.st_size} {state.st_mtime_ns}"
