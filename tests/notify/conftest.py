"""Shortens the pauses between attempts in all tests of callbacks."""

from __future__ import annotations

import pytest

from owtmix.notify import receiver as sending


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(sending, "LONGEST_PAUSE_S", 0.1)
