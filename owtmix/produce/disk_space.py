"""Whether the disk has room for what is going to be made, told before anything is."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import DestinationError
from owtmix.plan.model import RenderPlan

_SURPLUS: Final = Fraction(11, 10)
"""Of the rates that are aimed at: tables, and short outputs that stray from the mean."""


def check_room(plan: RenderPlan, work: Path, output: Path, kept_bytes: int) -> None:
    """Look whether the folder ``work`` has room for the chunks, and ``output`` for the finished file.

    Of the chunks, ``kept_bytes`` lie in ``work`` already, from an earlier run.

    Raises:
        DestinationError: one of them has not.
    """
    needed = expected_bytes(plan)
    chunks = max(0, needed - kept_bytes)
    folders = {work: chunks, output: needed}
    if work.stat().st_dev == output.stat().st_dev:
        folders = {work: chunks + needed}
    for folder, size_bytes in folders.items():
        free = shutil.disk_usage(folder).free
        if size_bytes > free:
            raise DestinationError(
                f"about {_mib(size_bytes)} are needed, and the disk of {folder} has {_mib(free)} left: free some space"
            )


def expected_bytes(plan: RenderPlan) -> int:
    """About the size of the output."""
    rate_kbps = sum(track.encoding.bit_rate_kbps for track in (plan.picture, plan.sound) if track)
    return int(plan.duration_s * rate_kbps * 1000 / 8 * _SURPLUS)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"
