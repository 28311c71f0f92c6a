"""A room is mixed from its journals: flashes and beeps are where they were, and composing it again gives the same."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from owtmix.recorder.journal import Frame, JournalHead, JournalReader, JournalWriter
from tests.e2e.measure import Samples, beeps, luma, read_sound, read_video
from tests.mixing.rooms import DATA, FPS, VIDEO, Mix, begin, composed, look, mixed, mixing, play, stop, update
from tests.recorder.finishing import configure
from tests.recorder.senders import START_US, Sender, write_journals
from tests.support.command import Command

ALICE: Final = Sender("alice_1", length_ms=7000, marks_ms=(1000, 3000, 6000), seed=2, ntp_off_us=-5_000_000)
BOB: Final = Sender(
    "bob_1",
    start_ms=300,
    length_ms=6700,
    marks_ms=(2000, 5000),
    codec="h264",
    tone_hz=900,
    seed=3,
    ntp_off_us=60_000_000,
)
ONSET_S: Final = 0.010


def flashes(mix: Mix) -> list[int]:
    """The first picture of each flash of anybody."""
    assert mix.video
    width, height = mix.video.size
    levels = [luma(picture, (0, 0, width, height)) for picture in mix.video.pictures]
    threshold = (min(levels[5:-5]) + max(levels)) / 2
    bright = [level > threshold for level in levels]
    return [n for n in range(1, len(bright)) if bright[n] and not bright[n - 1]]


def first_frames(*marks_ms: int) -> list[int]:
    """The frames that are the first to show something that happened then: each shows the middle of its time."""
    return [int(np.ceil(mark / 1000 * FPS - 0.5)) for mark in marks_ms]


def test_flashes_and_beeps_are_where_they_were_and_composing_gives_the_same_chunks(
    tmp_path: Path, command: Command
) -> None:
    room = begin(tmp_path / "room", [ALICE, BOB])
    mix = mixed(room)
    assert (mix.report["duration_s"], mix.report["frames"], mix.report["warnings"]) == (7.0, 7 * FPS, [])
    assert flashes(mix) == first_frames(1000, 2000, 3000, 5000, 6000)
    assert beeps(mix.samples, ALICE.tone_hz) == pytest.approx([1.0, 3.0, 6.0], abs=ONSET_S)
    assert beeps(mix.samples, BOB.tone_hz) == pytest.approx([2.0, 5.0], abs=ONSET_S)
    again = composed(room, command)
    assert mix.chunks == again.chunks
    assert len(mix.chunks) == 4
    assert mix.samples.shape == again.samples.shape
    for sender in (ALICE, BOB):
        assert beeps(mix.samples, sender.tone_hz) == pytest.approx(beeps(again.samples, sender.tone_hz), abs=0.002)
    assert loudness(mix.samples) == pytest.approx(loudness(again.samples), rel=0.02)


def loudness(samples: Samples) -> float:
    """The root mean square of a sound."""
    return float(np.sqrt((samples**2).mean()))


def test_updates_hold_from_when_they_were_accepted_on(tmp_path: Path, command: Command) -> None:
    muted = {"RtcStreamId": "alice_1", "HasVideo": True, "MuteVideo": True, "HasAudio": True, "MuteAudio": True}
    updates = [
        update(1700, "job.mixer.update", MixerConfig={"MixedVideoLayout": 2}),
        update(2500, "job.stream.update", StreamConfig=[muted]),
        update(3000, "job.transcoding.update", TranscodingConfig={"Video": {"BitRate": 250}}),
        update(4300, "job.subscribe.update", SubscribeConfig={"UnsubscribeVideo": ["bob_1"]}),
    ]
    room = begin(tmp_path / "room", [ALICE, replace(BOB, length_ms=5000)], updates)
    mix = mixed(room)
    assert beeps(mix.samples, ALICE.tone_hz) == pytest.approx([1.0], abs=ONSET_S)
    assert mix.chunks == composed(room, command).chunks


def test_wrong_updates_hold_up_nothing_and_are_told(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [ALICE], [update(1000, "job.mixer.update", MixerConfig={"MixedVideoLayout": 99})])
    mix = mixed(room)
    (warning,) = mix.report["warnings"]
    assert warning.startswith("updates are not used: updates.jsonl")
    assert mix.report["duration_s"] == 7.0


def test_another_size_or_rate_begins_a_new_file(tmp_path: Path) -> None:
    shape = {"Width": 640, "Height": 360, "Fps": 10}
    updates = [update(2500, "job.transcoding.update", TranscodingConfig={"Video": shape})]
    room = begin(tmp_path / "room", [ALICE], updates)
    mix = mixed(room)
    assert mix.report["files"] == ["live/mix.mp4", "live/mix-2.mp4"]
    assert (len(mix.video.times_s) if mix.video else 0) == 4 * FPS
    assert beeps(mix.samples, ALICE.tone_hz) == pytest.approx([1.0, 3.0], abs=ONSET_S)
    later, sound = read_video(room / "live" / "mix-2.mp4"), read_sound(room / "live" / "mix-2.mp4")
    assert later
    assert sound
    assert (later.size, len(later.times_s), later.times_s[1]) == ((640, 360), 30, Fraction(1, 10))
    assert beeps(sound.samples, ALICE.tone_hz) == pytest.approx([2.0], abs=ONSET_S)
    assert sound.samples.shape[1] / 48_000 == pytest.approx(3.0, abs=0.03)


def test_a_file_ends_where_recording_is_stopped_and_another_one_begins(tmp_path: Path) -> None:
    began_ms = START_US // 1000
    recorded = [[0, True], [began_ms + 2500, False], [began_ms + 4500, True]]
    room = begin(tmp_path / "room", [ALICE], recorded=recorded)
    mix = mixed(room)
    assert mix.report["files"] == ["live/mix.mp4", "live/mix-2.mp4"]
    assert (len(mix.video.times_s) if mix.video else 0) == 4 * FPS
    later = read_video(room / "live" / "mix-2.mp4")
    assert later
    assert len(later.times_s) == 1 * FPS, "from 6 s on"


def test_nothing_is_made_of_a_room_that_is_only_pushed(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [ALICE], recorded=[[0, False]])
    assert subprocess.run(mixing(room), check=False, stderr=subprocess.DEVNULL).returncode == 0
    report = json.loads((room / "live" / "result.json").read_bytes())
    assert (report["files"], report["frames"]) == ([], 7 * FPS)
    assert len([*(room / "live" / "flv").glob("*.flv")]) == 4


def test_a_file_is_finished_while_the_room_goes_on(tmp_path: Path) -> None:
    alice = replace(ALICE, length_ms=9000)
    room = tmp_path / "room"
    wait = play(room, [alice])
    with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as process:
        until(lambda: told(room).get("chunks", 0) >= 1)
        configure(room, data=DATA, recorded=[[0, True], [time.time_ns() // 1_000_000, False]])
        until(lambda: told(room)["files"] == ["live/mix.mp4"])
        assert read_video(room / "live" / "mix.mp4")
        wait()
        stop(room)
        assert process.wait(timeout=60) == 0
    assert json.loads((room / "live" / "result.json").read_bytes())["files"] == ["live/mix.mp4"]


def test_an_update_that_says_the_same_size_again_begins_no_file(tmp_path: Path, command: Command) -> None:
    updates = [update(2500, "job.transcoding.update", TranscodingConfig={"Video": VIDEO | {"BitRate": 250}})]
    room = begin(tmp_path / "room", [ALICE], updates)
    mix = mixed(room)
    assert mix.report["files"] == ["live/mix.mp4"]
    assert mix.chunks == composed(room, command).chunks


def test_an_impossible_size_holds_up_nothing(tmp_path: Path) -> None:
    shape = {"Width": 99_999, "Height": 360}
    updates = [update(2500, "job.transcoding.update", TranscodingConfig={"Video": shape})]
    mix = mixed(begin(tmp_path / "room", [ALICE], updates))
    assert mix.report["files"] == ["live/mix.mp4"]
    assert mix.report["warnings"][0].startswith("updates are not used: updates.jsonl")


def test_who_comes_back_after_the_room_was_empty(tmp_path: Path, command: Command) -> None:
    senders = [replace(ALICE, length_ms=3000), replace(BOB, start_ms=5000, length_ms=3000, marks_ms=(6000,))]
    data = DATA | {"JobConfig": {"IdleTime": 60}}
    room = begin(tmp_path / "room", senders, data=data)
    mix = mixed(room)
    assert mix.report["duration_s"] == 8.0
    assert flashes(mix) == first_frames(1000, 6000)
    assert mix.chunks == composed(room, command).chunks


def test_a_room_of_sound_alone(tmp_path: Path) -> None:
    data = {"RecordingConfig": {"MediaChannel": 1}}
    mix = mixed(begin(tmp_path / "room", [replace(ALICE, codec=None), replace(BOB, codec=None)], data=data))
    assert mix.video is None
    assert beeps(mix.samples, BOB.tone_hz) == pytest.approx([2.0, 5.0], abs=ONSET_S)


def test_nobody_came(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [])
    assert subprocess.run(mixing(room), check=False, timeout=60).returncode == 0
    assert '"files": []' in (room / "live" / "result.json").read_text()


def test_two_processes_do_not_mix_one_room_and_a_finished_one_is_left(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [ALICE])
    with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as first:
        until((room / "live" / "state.json").exists)
        assert subprocess.run(mixing(room), check=False, stderr=subprocess.DEVNULL).returncode == 6
        assert first.wait() == 0
    before = (room / "live" / "mix.mp4").stat()
    assert subprocess.run(mixing(room), check=False).returncode == 0
    assert (room / "live" / "mix.mp4").stat() == before


def test_killed_at_any_moment_it_goes_on_to_the_same_chunks_and_no_sound_is_lost(tmp_path: Path) -> None:
    once = mixed(begin(tmp_path / "once", [ALICE, BOB]))
    room = begin(tmp_path / "killed", [ALICE, BOB])
    kills = 0
    for after_s in (0.3, 0.6, 0.9, 1.1, 1.3, 1.5):
        with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as process:
            time.sleep(after_s)
            kills += process.poll() is None
            process.kill()
    assert kills >= 3
    again = mixed(room)
    assert again.chunks == once.chunks
    assert again.samples.shape == once.samples.shape
    assert np.abs(again.samples - once.samples).max() < 0.02


def test_a_room_is_mixed_while_it_goes_on(tmp_path: Path, command: Command) -> None:
    """Who speaks has the largest tile, also live; an update holds from when it was accepted; kills cost nothing.

    Nobody leaves where one frame follows another: ends may differ from those of files by a millisecond.
    """
    alice = replace(ALICE, length_ms=11_990, marks_ms=(11_000,), words_ms=((1000, 4000),), sizes=((0, (320, 180)),))
    bob = replace(BOB, length_ms=11_690, marks_ms=(11_500,), words_ms=((5000, 9000),))
    data = DATA | {"MixerConfig": {"MixedVideoLayout": 3, "FollowSpeaker": True}}
    room = tmp_path / "room"
    wait = play(room, [alice, bob], data=data)
    (room / "updates.jsonl").touch()
    process = subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL)
    until(lambda: told(room).get("chunks", 0) >= 2)
    process.kill()
    process.wait()
    process = subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL)
    at_ms = time.time_ns() // 1_000_000
    change = {"At": at_ms, "Action": "job.mixer.update", "Data": {"MixerConfig": {"Labels": True}}}
    (room / "updates.jsonl").write_text(f"{json.dumps(change)}\n")
    wait()
    chunks = told(room)["chunks"]
    stop(room)
    assert process.wait(timeout=60) == 0
    assert chunks >= 2, "most of it was made before the end"
    mix = look(room)
    assert mix.report["warnings"] == []
    assert beeps(mix.samples, alice.tone_hz)[-1] == pytest.approx(11.0, abs=ONSET_S)
    again = composed(room, command)
    assert [len(chunk) for chunk in mix.chunks] == [len(chunk) for chunk in again.chunks]
    assert mix.chunks == again.chunks


def test_it_begins_with_the_first_who_is_in_the_mix_also_live(tmp_path: Path, command: Command) -> None:
    """Nothing is composed before it is recorded: a flash just before the end of a chunk is in it."""
    bob = replace(BOB, start_ms=0, length_ms=9000)
    alice = replace(ALICE, start_ms=3000, length_ms=7000, marks_ms=(4750, 6750))
    room = tmp_path / "room"
    nobody = {"UnsubscribeVideo": ["bob_1"], "UnsubscribeAudio": ["bob_1"]}
    wait = play(room, [alice, bob], data=DATA | {"SubscribeConfig": nobody})
    (room / "updates.jsonl").touch()
    with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as process:
        later_us = wait()
        stop(room)
        assert process.wait(timeout=60) == 0
    assert told(room)["begun_us"] == pytest.approx(START_US + later_us + 3_000_000, abs=100_000)
    mix = look(room)
    assert flashes(mix) == first_frames(1750, 3750)
    assert mix.chunks == composed(room, command).chunks


def test_what_was_captured_before_the_mix_began_moves_nobody(tmp_path: Path) -> None:
    """As of RTMP, whose servers send some seconds of before at once: the mix has begun with somebody else then."""
    alice = replace(ALICE, start_ms=8000, length_ms=6000, marks_ms=(11_000,))
    bob = replace(BOB, start_ms=7000, length_ms=7000, marks_ms=(12_000,), reports_ms=0)
    room = tmp_path / "room"
    wait = play(room, [alice])
    later_us = time.time_ns() // 1000 - START_US
    came = [*came_at_once(tmp_path / "bob", room, bob, START_US + 8_800_000, later_us)]
    with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as process:
        wait()
        for one in came:
            one.join()
        stop(room)
        assert process.wait(timeout=60) == 0
    mix = look(room)
    assert beeps(mix.samples, alice.tone_hz) == pytest.approx([3.0], abs=0.1)
    assert beeps(mix.samples, bob.tone_hz) == pytest.approx([4.0], abs=0.1)
    assert len(flashes(mix)) == 2


def came_at_once(folder: Path, room: Path, sender: Sender, until_us: int, later_us: int) -> Iterator[threading.Thread]:
    """Begin to play the journals of a sender of whom nothing arrives before a time."""
    for path in write_journals(sender, folder, "burst"):
        with JournalReader(path) as reader:
            frames = [frame for frame in reader.records() if isinstance(frame, Frame)]
        late = [replace(frame, arrived_us=max(frame.arrived_us, until_us) + later_us) for frame in frames]
        thread = threading.Thread(target=written, args=(room / "journals" / path.name, reader.head, late))
        thread.start()
        yield thread


def written(path: Path, head: JournalHead, frames: Sequence[Frame]) -> None:
    writer = None
    for frame in frames:
        time.sleep(max(0.0, frame.arrived_us / 1e6 - time.time()))
        writer = writer or JournalWriter(path, head)
        writer.frame(frame)
    if writer:
        writer.end()


@pytest.mark.parametrize("longest_s", [5, 3604])
def test_a_mix_is_as_long_as_one_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest_s: int) -> None:
    """What may still come is not taken for more."""
    (tmp_path / "owt.toml").write_text(f"[limits]\nmax_duration_s = {longest_s}\n")
    monkeypatch.setenv("OWT_CONF", str(tmp_path / "owt.toml"))
    room = tmp_path / "room"
    wait = play(room, [replace(ALICE, length_ms=11_000), replace(BOB, start_ms=3000, length_ms=8000)])
    with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as process:
        wait()
        stop(room)
        assert process.wait(timeout=60) == 0
    mix = look(room)
    assert mix.report["duration_s"] == pytest.approx(min(longest_s, 11), abs=0.1)
    assert ["the mix ends after" in warning for warning in mix.report["warnings"]] == [True] * (longest_s < 11)


def test_a_mix_that_is_held_up_falls_behind_and_catches_up(tmp_path: Path, command: Command) -> None:
    """Nothing that is recorded is dropped."""
    alice = replace(ALICE, length_ms=13_990, marks_ms=(4000, 9000))
    room = tmp_path / "room"
    wait = play(room, [alice])
    with subprocess.Popen(mixing(room), stderr=subprocess.DEVNULL) as process:
        until(lambda: told(room).get("chunks", 0) >= 1)
        process.send_signal(signal.SIGSTOP)
        time.sleep(6)
        process.send_signal(signal.SIGCONT)
        lags = [told(room)["behind_s"]]
        while told(room)["chunks"] < 5:
            time.sleep(0.05)
            lags.append(told(room)["behind_s"])
        wait()
        stop(room)
        assert process.wait(timeout=60) == 0
    assert max(lags) > 4
    assert lags[-1] < max(lags) - 2
    assert look(room).chunks == composed(room, command).chunks


def told(room: Path) -> dict[str, Any]:
    """What a mix tells of itself."""
    try:
        found: dict[str, Any] = json.loads((room / "live" / "state.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def until(holds: Callable[[], bool], patience_s: float = 30.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
