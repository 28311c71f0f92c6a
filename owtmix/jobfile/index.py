"""What an index says: the recordings of a room."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from owtmix.base.ids import StreamId

TimeUnit = Literal["epoch-milliseconds", "epoch-seconds", "seconds", "milliseconds"]
TimeUnitSetting = Literal["auto"] | TimeUnit


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Converts times to seconds.

    Times from ``absolute_from`` on are multiples of ``step_s`` since 1970; smaller ones are multiples of
    ``relative_step_s`` since ``base_s``, the ``StartTime`` of the index.
    """

    unit: TimeUnit
    absolute_from: Decimal
    step_s: Fraction
    relative_step_s: Fraction
    base_s: Fraction

    def seconds(self, time: Decimal) -> Fraction:
        if time >= self.absolute_from:
            return Fraction(time) * self.step_s
        return self.base_s + Fraction(time) * self.relative_step_s


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of one stream. ``start_s`` and ``end_s`` are index time, in seconds; ``user_name`` is for people."""

    stream: StreamId
    key: str
    start_s: Fraction
    end_s: Fraction | None
    user_name: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """All recordings of a room. With an epoch ``unit``, index time is in seconds since 1970.

    ``left_out`` has the keys of entries that cannot be used, as far as these have one.
    """

    job_id: str
    room_id: str
    unit: TimeUnit
    files: tuple[Recording, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    scale: TimeScale | None = None
    """Of the times as written."""

    @property
    def has_epoch(self) -> bool:
        return self.unit.startswith("epoch")

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all files that the index names, used or not."""
        return (*(file.key for file in self.files), *self.left_out)
