"""Two browsers in a room: what they did at the same time is at the same time in files and in the composed room.

One sends VP8, one H.264. A network that loses packets costs next to nothing of it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.recorder.journal import Frame, JournalReader
from owtmix.recorder.opus_packet import samples_in
from tests.conftest import kernel_isolates
from tests.live.conftest import Tell
from tests.support.browser import CHROMIUM, NO_CHROMIUM, browsing
from tests.support.isolated_network import HAS_NFT, NO_NFT, lossy_network, lost_datagrams
from tests.support.marks import LEFT_HALF, RIGHT_HALF, Marks, Track, marks, read_track, start_s
from tests.support.server import LiveJob, LiveServer, serving

pytestmark = [pytest.mark.serial, pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)]

APART_MS: Final = 200.0
"""Between participants, where machines are shared; 40 on an idle machine."""
SOUND_MS: Final = 100.0
"""From picture to sound of one participant, where machines are shared; 30 on an idle machine."""
COMPOSED_FPS: Final = 30
COMPOSED_MS: Final = 1000 / COMPOSED_FPS
"""A composed picture shows what has happened when it begins: it is late by up to its length."""
TOGETHER_S: Final = 12
FEWEST_MARKS: Final = 6

LOST_PER_MILLE: Final = 50
LOSSY_S: Final = 15
LONGEST_GAP_S: Final = 1.0
MOST_SOUND_MISSING: Final = 0.01

SENDERS: Final = {"alice_1": ("VP8", 1000, 120), "bob_1": ("H264", 700, 220)}
"""Codec, tone in Hz, and hue."""


def publish_from_browsers(server: LiveServer, job: LiveJob, seconds: float) -> dict[str, dict[str, Any]]:
    """Have two browsers send together for so long, and leave; returns what they say when they do.

    They start one after the other, and connect together.
    """
    with ExitStack() as open_browsers:
        browsers = []
        for stream, (codec, hz, hue) in SENDERS.items():
            query = {"whip": job.whip(stream), "codec": codec, "hz": str(hz), "hue": str(hue), "for": str(seconds)}
            browsers.append(open_browsers.enter_context(browsing(server.root / f"browser-{stream}", **query)))
            browsers[-1].wait_for("ready")
        for browser in browsers:
            browser.may_send.set()
        for browser in browsers:
            browser.wait_for("connected")
        return {browser.name: browser.wait_for("left", seconds + 60)["sent"] for browser in browsers}


def recorded(job: LiveJob) -> dict[str, tuple[Track, Marks]]:
    """The file of each stream, and its marks."""
    found = {}
    for entry in job.index()["Files"]:
        track = read_track(job.server.store / job.room / Path(entry["Name"]).name)
        found[entry["StreamId"]] = track, marks(track, start_s(entry), SENDERS[entry["StreamId"]][1])
    return found


def missing_sound(job: LiveJob) -> dict[str, float]:
    """The part of the sound of each stream that has not been received, while its journals are there."""
    found = {}
    for path in (job.folder / "journals").glob("*.audio.*"):
        with JournalReader(path) as reader:
            packets = [record for record in reader.records() if isinstance(record, Frame)]
            lasted = packets[-1].rtp - packets[0].rtp + (samples_in(packets[-1].data) or 0)
            found[str(reader.head.stream)] = 1 - sum(samples_in(packet.data) or 0 for packet in packets) / lasted
    return found


def check(tell: Tell, what: str, seen: dict[str, Marks], more_ms: float = 0.0) -> None:
    """Tell how far marks are apart, and hold it to the bounds."""
    for name, found in seen.items():
        tell(f"{what}, {name}: {found}")
        assert min(len(found.flashes_ms), len(found.beeps_ms)) >= FEWEST_MARKS
    flashes, beeps = [one.flash_ms for one in seen.values()], [one.beep_ms for one in seen.values()]
    apart_ms = max(max(of) - min(of) for of in (flashes, beeps))
    sound_ms = [beep - flash for flash, beep in zip(flashes, beeps, strict=True)]
    late = ", ".join(f"{ms:+.1f}" for ms in sound_ms)
    tell(f"{what}: participants are {apart_ms:.1f} ms apart, sound is {late} ms after the picture")
    assert apart_ms <= APART_MS + more_ms
    assert max(map(abs, sound_ms)) <= SOUND_MS + more_ms


def test_flash_and_beep_of_two_browsers_stay_together(tmp_path: Path, tell: Tell) -> None:
    with serving(tmp_path) as server:
        picture = {"Codec": "h264", "Width": 640, "Height": 360, "Fps": COMPOSED_FPS, "BitRate": 1000}
        job = server.record(
            "meeting",
            TranscodingConfig={"Video": picture},
            MixerConfig={"MixedVideoLayout": 1, "ResizeMode": 1},
        )
        publish_from_browsers(server, job, TOGETHER_S)
        job.stop()
        job.wait_for_end()
        files = recorded(job)
        assert set(files) == set(SENDERS), job.logs()
        check(tell, "files", {stream: seen for stream, (_, seen) in files.items()})
        index = job.index()
        room_s = min(map(start_s, index["Files"]))
        room = read_track(job.compose(), (LEFT_HALF, RIGHT_HALF))
        tones = [hz for _, hz, _ in SENDERS.values()]
        composed = {f"tile {n}": marks(room, room_s, hz, n) for n, hz in enumerate(tones)}
        check(tell, "composed", composed, COMPOSED_MS)


@pytest.mark.skipif(not HAS_NFT, reason=NO_NFT)
@pytest.mark.skipif(not kernel_isolates(), reason="the kernel refuses a network of its own")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a network rules")
def test_five_percent_of_loss_costs_no_second_of_picture_and_next_to_no_sound(tmp_path: Path, tell: Tell) -> None:
    with lossy_network(LOST_PER_MILLE), serving(tmp_path) as server:
        job = server.record("meeting")
        sent = publish_from_browsers(server, job, LOSSY_S)
        tell(f"{lost_datagrams()} datagrams were lost; sent: {sent}")
        missing = missing_sound(job)
        job.stop()
        job.wait_for_end()
        files = recorded(job)
        assert set(files) == set(missing) == set(SENDERS), job.logs()
        for stream, (track, _) in files.items():
            gap_s, length_s = track.longest_gap_s, track.times_s[-1]
            tell(f"{stream}: longest gap {gap_s:.2f} s in {length_s:.1f} s, {missing[stream]:.2%} of the sound is lost")
            assert gap_s <= LONGEST_GAP_S
            assert missing[stream] < MOST_SOUND_MISSING
        check(tell, "files", {stream: seen for stream, (_, seen) in files.items()})
