"""The record of one recording: its key, its local file, and its measured content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from owtmix.plan.media_info import Probe
from owtmix.storage import LocalCopy
from owtmix.workers.pending_files import fetched_version


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A recording of a job.

    ``key`` names it in the store, ``copy`` is its local file, which may not exist yet. ``probe`` describes its tracks
    once it is measured.
    """

    key: str
    copy: LocalCopy
    probe: Probe | None = None

    @property
    def path(self) -> Path:
        """The local file."""
        return self.copy.path

    @property
    def is_fetched(self) -> bool:
        """Whether the local file is a copy; otherwise it is the recording itself."""
        return self.copy.size_bytes > 0

    @property
    def version(self) -> str:
        """Changes with the content of the recording: the name of a copy says which version it is of."""
        return self.path.name if self.is_fetched else f"{self.path} {self.copy.version}"

    @property
    def file_version(self) -> str | None:
        """The version that ``path`` must have when it is read, see ``base.file_version``; None when it is not known."""
        return fetched_version(self.path) if self.is_fetched else self.copy.version

    def measured(self, probe: Probe) -> SourceFile:
        """This record with ``probe``."""
        return replace(self, probe=probe)


def first_of_same(files: Mapping[int, SourceFile]) -> dict[int, int]:
    """For each of ``files`` the number of the first one that is the same local file.

    An index may name one object several times: it is fetched and measured once.
    """
    first: dict[tuple[Path, str | None], int] = {}
    return {number: first.setdefault((file.path, file.copy.version), number) for number, file in files.items()}
