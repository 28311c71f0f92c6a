from __future__ import annotations

from fractions import Fraction

import pytest

from owtmix.plan.clock_text import clock_text

EPOCH = Fraction(1795327385)  # 2026-11-22 06:03:05 UTC


@pytest.mark.parametrize(
    ("epoch", "zone", "text"),
    [
        (EPOCH, "Asia/Shanghai", "2026-11-22 14:03:05"),
        (EPOCH + Fraction(999, 1000), "Asia/Shanghai", "2026-11-22 14:03:05"),
        (EPOCH, "UTC", "2026-11-22 06:03:05"),
        (EPOCH, "Asia/Kolkata", "2026-11-22 11:33:05"),
        (Fraction(1792889999), "Europe/Berlin", "2026-10-25 02:59:59"),
        (Fraction(1792890000), "Europe/Berlin", "2026-10-25 02:00:00"),  # the hour that comes twice
    ],
)
def test_the_clock_shows_the_moment_in_its_zone(epoch: Fraction, zone: str, text: str) -> None:
    assert clock_text(Fraction(7), epoch, zone) == text


@pytest.mark.parametrize(
    ("t", "text"), [("0", "00:00:00"), ("90", "00:01:30"), ("90.999", "00:01:30"), ("360000", "100:00:00")]
)
def test_without_an_epoch_it_shows_the_time_since_the_start(t: str, text: str) -> None:
    assert clock_text(Fraction(t), None, "Asia/Shanghai") == text
