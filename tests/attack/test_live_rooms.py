"""A minute of garbage from a sender that has the keys of its session: bounded, and another sender loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorder.test_hostile_senders import SEED, attacked


@pytest.mark.parametrize("seed", [SEED + 10, SEED + 11])
def test_a_minute_of_garbage(tmp_path: Path, seed: int) -> None:
    attacked(tmp_path / "room", 60, seed)
