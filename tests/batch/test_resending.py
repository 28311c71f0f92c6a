"""Senders of the callbacks that jobs left."""

from __future__ import annotations

import time
from pathlib import Path

from owtmix.batch.command import Program
from owtmix.batch.night import Status
from owtmix.batch.resending import Resending
from tests.batch.made import attempt, ended

LEFT = {"callbacks": {"sent": 0, "left": 1}}


def status() -> Status:
    raise AssertionError("a sender does not ask for it")


def test_at_most_one_sender_a_minute_begins(tmp_path: Path) -> None:
    sent, now_s = tmp_path / "sent", 1000.0
    program = Program(("sh", "-c", f"echo x >> {sent}", "sh"))
    resending = Resending(program, tmp_path / "log", lambda: now_s)

    def look_for(seconds: int) -> int:
        """How many were begun when a job has left a callback in each of so many seconds."""
        nonlocal now_s
        for _ in range(seconds):
            now_s += 1
            resending.hear(ended(attempt(), report=LEFT))
            resending.look(status)
            time.sleep(0.01)
        until_s = time.monotonic() + 5
        while resending.is_sending and time.monotonic() < until_s:
            resending.look(status)
            time.sleep(0.01)
        return len(sent.read_text().splitlines()) if sent.exists() else 0

    resending.look(status)
    assert look_for(0) == 0  # nothing is left
    assert look_for(1) == 1
    assert look_for(59) == 1
    assert look_for(1) == 2
    assert look_for(59) == 2
    resending.close()
