"""Callbacks that rendering calls."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

Advance = Callable[[Fraction], None]
"""Receives a time in seconds: the amount done, or the position reached."""
Warn = Callable[[str], None]
Heartbeat = Callable[[], None]
"""Called often, from any thread, while recordings are decoded: the first frame of a chunk may take long."""


def ignore_advance(_done_s: Fraction) -> None:
    """A listener that ignores progress."""


def no_heartbeat() -> None:
    """A heartbeat that reports to nobody."""
