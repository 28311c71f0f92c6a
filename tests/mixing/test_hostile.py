"""What strangers send costs only themselves: everybody else is seen and heard in the mix."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.measure import beeps
from tests.mixing.rooms import begin, mixed
from tests.recorder.senders import Sender
from tests.recorder.test_hostile_journals import HOSTILE, write

ALICE: Final = Sender("alice_1", marks_ms=(1000, 3000), tone_hz=1500, seed=2)
"""Some of the others beep, too, at 700 Hz."""
NOISE: Final = "randomOpus"
"""It is heard above all others, as whoever makes noise is."""


@pytest.mark.parametrize("session", HOSTILE)
def test_a_hostile_journal_costs_only_itself(tmp_path: Path, session: str) -> None:
    room = begin(tmp_path / "room", [ALICE])
    codec, records = HOSTILE[session]
    write(room / "journals", session, codec, records())
    mix = mixed(room)
    found = beeps(mix.samples, ALICE.tone_hz)
    assert session == NOISE or any(abs(later - at - 2) < 0.01 for at in found for later in found), "two seconds apart"
    assert 3.9 < mix.report["duration_s"] < 30
    assert mix.video
    assert len(mix.video.times_s) == mix.report["frames"]
