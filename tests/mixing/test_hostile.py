"""What strangers send costs only themselves: everybody else is seen and heard in the mix."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Frame, JournalHead, JournalWriter
from tests.e2e.measure import beeps
from tests.mixing.rooms import DATA, begin, mixed, mixing, play, stop
from tests.recorder.senders import Sender
from tests.recorder.test_hostile_journals import HOSTILE, write

ALICE: Final = Sender("alice_1", marks_ms=(1000, 3000), tone_hz=1500, seed=2)
"""Some of the others beep, too, at 700 Hz."""
SILENCE: Final = b"\xf8\xff\xfe"
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


def test_those_who_come_all_the_time_hold_up_nobody(tmp_path: Path) -> None:
    """Each of them could be known better a moment later."""
    room = tmp_path / "room"
    wait = play(room, [replace(ALICE, length_ms=12_000)])
    with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as process:
        for number in range(12):
            head = JournalHead(f"s{number}x", StreamId.parse(f"guest{number}_1"), "audio", "opus", 48_000)
            writer = JournalWriter(room / "journals" / f"{head.session}.audio.0.journal", head)
            writer.frame(Frame(0, time.time_ns() // 1000, is_key=True, data=SILENCE))
            time.sleep(1)
        wait()
        chunks = json.loads((room / "live" / "state.json").read_bytes())["chunks"]
        stop(room)
        assert process.wait(timeout=60) == 0
    assert chunks >= 2


def test_a_server_of_images_that_never_answers_holds_up_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owt.toml").write_text("[images]\ntimeout_s = 300\n")
    monkeypatch.setenv("OWT_CONF", str(tmp_path / "owt.toml"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        mark = {"Type": 2, "Image": f"http://127.0.0.1:{server.getsockname()[1]}/mark.png"}
        data = DATA | {"MixerConfig": {"MixedVideoLayout": 1, "WaterMark": [mark]}}
        assert mixed(begin(tmp_path / "room", [ALICE], data=data)).report["duration_s"] == 4.0
