"""Checks that the disk has enough free space, before any track is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from owtmix.base.errors import DestinationError
from owtmix.plan.model import RenderPlan


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a folder: its device number, and the bytes that are free."""

    number: int
    free_bytes: int


def disk_of(folder: Path) -> Disk:
    """The disk that ``folder`` is on."""
    return Disk(folder.stat().st_dev, shutil.disk_usage(folder).free)


def check_disk_space(
    plan: RenderPlan, work: Path, output: Path, kept_bytes: int, disk: Callable[[Path], Disk] = disk_of
) -> None:
    """Check the free space on the disk of ``work`` for the tracks, and on that of ``output`` for the finished file.

    ``kept_bytes`` of the tracks are in ``work`` already, from an earlier run; ``disk`` tells the disk of a folder.

    Raises:
        DestinationError: one of the disks has too little.
    """
    finished = plan.expected_bytes
    tracks = max(0, finished - kept_bytes)
    needed = {work: tracks, output: finished}
    if disk(work).number == disk(output).number:
        needed = {work: tracks + finished}
    for folder, size_bytes in needed.items():
        free_bytes = disk(folder).free_bytes
        if size_bytes > free_bytes:
            raise DestinationError(
                f"about {_mib(size_bytes)} are needed, and the disk of {folder} has {_mib(free_bytes)} left: "
                "free some space"
            )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"
