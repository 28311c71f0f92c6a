"""The index of a room's single-stream recordings (section 11.2 of the API document)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from owtmix.spec.job import StreamId

TimeUnit = Literal["epoch-milliseconds", "epoch-seconds", "seconds", "milliseconds"]


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of one stream. ``start_s`` and ``end_s`` are in the index's time, in seconds."""

    stream: StreamId
    key: str
    start_s: Fraction
    end_s: Fraction | None


@dataclass(frozen=True, slots=True)
class Index:
    """All files of a room. ``unit`` is how its times were read; with an epoch unit they are seconds since 1970."""

    job_id: str
    room_id: str
    unit: TimeUnit
    files: tuple[Recording, ...]
    warnings: tuple[str, ...]

    @property
    def has_epoch(self) -> bool:
        return self.unit.startswith("epoch")
