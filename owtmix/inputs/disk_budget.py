"""How much of the disk a job's recordings may take."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from owtmix.base.errors import DestinationError
from owtmix.storage import LocalCopy


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """What the recordings that are not here by themselves may take together, in bytes.

    That is ``allowed_bytes``, or less where the disk of ``folder`` has only room for ``possible_bytes``.
    """

    allowed_bytes: int
    possible_bytes: int
    folder: Path

    @property
    def limit_bytes(self) -> int:
        return min(self.allowed_bytes, self.possible_bytes)

    def leaving(self, size_bytes: int) -> DiskBudget:
        """The same, but so much of the disk stays free for others."""
        return replace(self, possible_bytes=self.possible_bytes - size_bytes)

    def check(self, needed_bytes: int) -> None:
        """See that there is room for what is needed at once.

        Raises:
            DestinationError: there is not.
        """
        if needed_bytes <= self.limit_bytes:
            return
        needed = f"the recordings that are needed at once have {format_gib(needed_bytes)}, and"
        if self.allowed_bytes <= self.possible_bytes:
            raise DestinationError(
                f"{needed} storage.max_inputs_mib in conf/owt.toml allows {format_gib(self.allowed_bytes)}: "
                "raise it, or subscribe to fewer streams"
            )
        room = format_gib(max(0, self.possible_bytes))
        raise DestinationError(f"{needed} the disk of {self.folder} has room for {room}: free some space")


def disk_budget(copies: Collection[LocalCopy], folder: Path, max_bytes: int) -> DiskBudget:
    """What ``max_bytes`` and the disk of ``folder`` allow; some of ``copies`` are there already.

    Raises:
        DestinationError: one of them alone is larger.
    """
    possible_bytes = sum(copy.present_bytes for copy in copies) + shutil.disk_usage(folder).free
    quota = DiskBudget(max_bytes, possible_bytes, folder)
    quota.check(max((copy.size_bytes for copy in copies), default=0))
    return quota


def format_gib(size_bytes: int) -> str:
    """For people."""
    return f"{size_bytes / 2**30:,.2f} GiB"
