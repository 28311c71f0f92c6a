"""The time that a clock watermark shows."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo


def clock_text(t: Fraction, epoch_at: Fraction | None, zone: str) -> str:
    """``2026-11-22 14:03:05`` in the IANA zone ``zone``, or ``00:01:30`` since the start (semantics.md, "Picture").

    ``t`` is output time and ``epoch_at`` the moment since 1970 that is shown then, both in seconds, rounded down;
    ``epoch_at`` is None when the index knows no moments.
    """
    if epoch_at is None:
        elapsed_s = floor(t)
        return f"{elapsed_s // 3600:02}:{elapsed_s // 60 % 60:02}:{elapsed_s % 60:02}"
    return f"{datetime.fromtimestamp(floor(epoch_at), ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
