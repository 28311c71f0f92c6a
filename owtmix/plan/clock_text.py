"""The text of a clock watermark."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo


def clock_text(t: Fraction, epoch_at: Fraction | None, zone: str) -> str:
    """Format the wall clock as ``2026-11-22 14:03:05``, or the time since the start as ``00:01:30``.

    The rule is in docs/semantics.md, "Picture". Seconds are rounded down.

    Args:
        t: Output time in seconds.
        epoch_at: Seconds since 1970 at ``t``; None when the index has no epoch.
        zone: IANA time zone.
    """
    if epoch_at is None:
        elapsed_s = floor(t)
        return f"{elapsed_s // 3600:02}:{elapsed_s // 60 % 60:02}:{elapsed_s % 60:02}"
    return f"{datetime.fromtimestamp(floor(epoch_at), ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
