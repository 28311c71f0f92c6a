"""The disk space that a job's recordings may take."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from owtmix.base.errors import DestinationError
from owtmix.storage import LocalCopy


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """The disk space that the fetched recordings of a job may take together.

    ``allowed_bytes`` is the setting, ``possible_bytes`` the space that the disk of ``folder`` has for them.
    """

    allowed_bytes: int
    possible_bytes: int
    folder: Path

    @property
    def limit_bytes(self) -> int:
        return min(self.allowed_bytes, self.possible_bytes)

    def reserving(self, size_bytes: int) -> DiskBudget:
        """The same, with ``size_bytes`` of the disk left free for others."""
        return replace(self, possible_bytes=self.possible_bytes - size_bytes)

    def excess(self, size_bytes: int) -> str:
        """Why a single recording, which exceeds the budget, cannot be used."""
        has = f"it has {format_gib(size_bytes)}, and"
        if size_bytes > self.allowed_bytes:
            allowed = format_gib(self.allowed_bytes)
            return f"{has} storage.max_inputs_mib in conf/owt.toml allows {allowed}: raise it to use this recording"
        space = format_gib(max(0, self.possible_bytes))
        return f"{has} the disk of {self.folder} has space for {space}: free some space to use this recording"

    def check(self, needed_bytes: int) -> None:
        """Check that files that are needed at the same time fit.

        Raises:
            DestinationError: they do not fit.
        """
        if needed_bytes <= self.limit_bytes:
            return
        needed = f"the recordings that are needed at once have {format_gib(needed_bytes)}, and"
        if self.allowed_bytes <= self.possible_bytes:
            raise DestinationError(
                f"{needed} storage.max_inputs_mib in conf/owt.toml allows {format_gib(self.allowed_bytes)}: "
                "raise it, or subscribe to fewer streams"
            )
        space = format_gib(max(0, self.possible_bytes))
        raise DestinationError(f"{needed} the disk of {self.folder} has space for {space}: free some space")


def disk_budget(
    copies: Mapping[int, LocalCopy], folder: Path, max_bytes: int
) -> tuple[DiskBudget, dict[int, LocalCopy], dict[int, str]]:
    """The budget in ``folder``, at most ``max_bytes``, for those of ``copies`` that fit, and the reasons of the others.

    Parts of the copies may exist already. A size is what the store states, so a single one may be absurd.

    Raises:
        DestinationError: the disk has space for none.
    """
    allowed = {n: copy for n, copy in copies.items() if copy.size_bytes <= max_bytes}
    budget = _budget(allowed.values(), folder, max_bytes)
    fitting = {n: copy for n, copy in allowed.items() if copy.size_bytes <= budget.limit_bytes}
    if allowed and not fitting:
        budget.check(min(copy.size_bytes for copy in allowed.values()))
    reasons = {n: budget.excess(copy.size_bytes) for n, copy in copies.items() if n not in fitting}
    return _budget(fitting.values(), folder, max_bytes), fitting, reasons


def _budget(copies: Collection[LocalCopy], folder: Path, max_bytes: int) -> DiskBudget:
    return DiskBudget(max_bytes, sum(copy.present_bytes for copy in copies) + shutil.disk_usage(folder).free, folder)


def format_gib(size_bytes: int) -> str:
    """Format a size for messages, in GiB."""
    return f"{size_bytes / 2**30:,.2f} GiB"
