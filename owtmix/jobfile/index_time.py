"""Index time: in which unit the times of an index are written, and how many seconds they are."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final, cast

from owtmix.jobfile.index import TimeScale, TimeUnit, TimeUnitSetting

EPOCH_MILLISECONDS_FROM: Final = Decimal(10**11)
EPOCH_SECONDS_FROM: Final = Decimal(10**8)
TIMES_BELOW: Final = Decimal(10**14)
"""Upper bound of times. In milliseconds since 1970 it is the year 5138; larger numbers have another unit."""

_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_STEP_S: Final[dict[TimeUnit, Fraction]] = {
    "epoch-milliseconds": Fraction(1, 1000),
    "epoch-seconds": Fraction(1),
    "seconds": Fraction(1),
    "milliseconds": Fraction(1, 1000),
}


def read_time(value: object) -> Decimal:
    """A time as written: a number, or a number in quotes.

    Raises:
        ValueError: it is neither, or out of range. The message says what is accepted.
    """
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    quoted = isinstance(value, str) and _DECIMAL.fullmatch(value)
    time = Decimal(cast("str | Decimal", value)) if number or quoted else Decimal(-1)
    if not 0 <= time < TIMES_BELOW:
        raise ValueError("a number of seconds or milliseconds, 0 or more and below 1e14")
    return time


def time_scale(base: Decimal, times: list[Decimal], time_unit: TimeUnitSetting) -> TimeScale:
    """The unit of ``base``, the index's StartTime, and of the ``times`` of its files (docs/semantics.md, "Time").

    With "auto", the largest time decides: from 1e11 it is milliseconds, from 1e8 seconds since 1970. Smaller times are
    relative to the index's ``StartTime``: in seconds when any of them has a fraction, else in milliseconds.
    """
    if time_unit == "auto":
        return _guessed(base, times)
    step_s = _STEP_S[time_unit]
    if time_unit.startswith("epoch"):
        return TimeScale(time_unit, Decimal(0), step_s, step_s, Fraction(0))
    epoch = _epoch_unit(base)
    base_s = Fraction(base) * (_STEP_S[epoch] if epoch else step_s)
    return TimeScale(epoch or time_unit, Decimal("Infinity"), step_s, step_s, base_s)


def _guessed(base: Decimal, times: list[Decimal]) -> TimeScale:
    epoch = _epoch_unit(max(base, *times))
    if not epoch:
        unit: TimeUnit = "seconds" if _any_fraction([base, *times]) else "milliseconds"
        step_s = _STEP_S[unit]
        return TimeScale(unit, Decimal("Infinity"), step_s, step_s, Fraction(base) * step_s)
    absolute_from = EPOCH_MILLISECONDS_FROM if epoch == "epoch-milliseconds" else EPOCH_SECONDS_FROM
    step_s = _STEP_S[epoch]
    relative_step_s = _STEP_S["seconds" if _any_fraction([t for t in times if t < absolute_from]) else "milliseconds"]
    base_s = Fraction(base) * step_s if base >= absolute_from else Fraction(0)
    return TimeScale(epoch, absolute_from, step_s, relative_step_s, base_s)


def _epoch_unit(time: Decimal) -> TimeUnit | None:
    if time >= EPOCH_MILLISECONDS_FROM:
        return "epoch-milliseconds"
    return "epoch-seconds" if time >= EPOCH_SECONDS_FROM else None


def _any_fraction(times: list[Decimal]) -> bool:
    """Whether a time is written with decimals: ``12.0`` comes from a recorder that counts seconds."""
    return any(cast("int", time.as_tuple().exponent) < 0 for time in times)
