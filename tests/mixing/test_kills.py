"""Twenty kills at random moments of a room that is mixed live: no gap, no other picture, no click."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.mixing.rooms import composed, look, mixing, play, stop
from tests.mixing.test_mix import ALICE, BOB
from tests.support.command import Command
from tests.support.processes import descendants

KILLS: Final = 20
ROOM_MS: Final = 100_000
EACH_S: Final = 4.5


@pytest.mark.attack
def test_twenty_kills_leave_no_trace(tmp_path: Path, command: Command) -> None:
    chance = random.Random(18)
    alice = replace(ALICE, length_ms=ROOM_MS, marks_ms=tuple(range(1000, ROOM_MS, 2000)))
    bob = replace(BOB, length_ms=ROOM_MS - 300, marks_ms=tuple(range(2000, ROOM_MS, 2000)))
    room = tmp_path / "room"
    wait = play(room, [alice, bob])
    process = subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.3, 2 * EACH_S - 0.3))
        victim = chance.choice([process.pid, *descendants(process.pid)])
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        time.sleep(0.2)
        if process.poll() is not None:
            process = subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL)
    wait()
    stop(room)
    if process.wait(timeout=120):  # the last one may have killed what all others need
        assert subprocess.run(mixing(room), check=False).returncode == 0
    mix, again = look(room), composed(room, command)
    assert mix.chunks == again.chunks
    assert mix.samples.shape == again.samples.shape
    # Where a sound is begun anew it is that of before: nowhere is it further from the other than anywhere else.
    apart = np.abs(np.diff(mix.samples[0]))
    assert apart.max() <= np.abs(np.diff(again.samples[0])).max() * 1.2
