"""What is read from answers about uploads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from owtmix.storage.s3.unfinished import date_of


def dated(**headers: str) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPHeaders": headers}}


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("Fri, 20 Nov 2026 08:00:00 GMT", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 08:00:00 -0000", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 08:00:00 +0300", datetime(2026, 11, 20, 8, tzinfo=timezone(timedelta(hours=3)))),
        ("Fri, 20 Nov 99999999999 08:00:00 GMT", None),
        ("Fri, 20 Nov 2026 08:00:00 +99999999999999", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_date_of_an_answer_has_a_zone_or_counts_as_missing(date: str, found: datetime | None) -> None:
    assert date_of(dated(date=date)) == found


def test_an_answer_may_lack_a_date() -> None:
    assert date_of(dated()) is None
    assert date_of({}) is None
