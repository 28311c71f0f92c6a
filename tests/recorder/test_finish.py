"""The command that finishes a room: killed at any moment, by two at once, and composed by the real tool."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.jobfile.settings import LocalSettings, Settings
from owtmix.recorder.finish import finish
from owtmix.recorder.finish_options import FinishOptions
from owtmix.recorder.room_folder import RoomFolder
from tests.e2e.measure import beeps, luma, read_sound, read_video
from tests.recorder.finishing import command as finishing
from tests.recorder.finishing import configure, do_here, finish_here, lay_out, run_finish
from tests.recorder.senders import START_US, Sender
from tests.support.command import Command
from tests.support.room import EPOCH_MS

ALICE: Final = Sender("alice_1", marks_ms=(1000, 3000), seed=2, ntp_off_us=-5_000_000)
BOB: Final = Sender("bob_1", start_ms=300, marks_ms=(2000,), codec="h264", tone_hz=900, seed=3, ntp_off_us=60_000_000)
FPS: Final = 20
VIDEO: Final = {"Codec": "h264", "Width": 640, "Height": 360, "Fps": FPS, "BitRate": 1000, "Profile": "high"}
KILLS_S: Final = tuple(number / 5 for number in range(1, 21))
"""When each run is killed, unless it is done: while it starts, reads, writes, renames, and describes."""
ONSET_S: Final = 0.010


def content(root: Path) -> dict[str, bytes]:
    """All that finishing a room makes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "journals" not in path.parts and path.name != ".finish.lock"
    }


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    senders = [replace(ALICE, length_ms=2000), replace(BOB, length_ms=2000), replace(ALICE, stream="carol_1")]
    finish_here(lay_out(tmp_path / "once", senders))
    lay_out(tmp_path / "killed", senders)
    kills = 0
    for after_s in (*KILLS_S, None):
        process = subprocess.Popen(
            finishing(tmp_path / "killed"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.wait(after_s) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert kills > 2
    assert content(tmp_path / "killed") == content(tmp_path / "once")


def test_two_at_once_exclude_each_other(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [replace(ALICE, codec=None)])
    with folder.locked():
        status, found, _ = run_finish(tmp_path)
    assert status == 6
    assert found["error"]["type"] == "BusyError"
    assert run_finish(tmp_path)[0] == 0


def test_one_session_is_finished_while_others_go_on(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [replace(ALICE, codec=None), replace(BOB, codec=None)])
    status, found, _ = run_finish(tmp_path, "--session", "s1")
    assert status == 0
    assert [entry["stream"] for entry in found["files"]] == ["bob_1"]
    assert not (tmp_path / "index.json").exists()
    assert len(list(folder.journals.iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "status"),
    [(b"{", 2), (b"{}", 2), (b'{"job_id": "../x"}', 2), (b'{"job_id": "a", "mp4_sound": "mp3"}', 2), (None, 2)],
)
def test_wrong_options_are_told(tmp_path: Path, text: bytes | None, status: int) -> None:
    if text is not None:
        (tmp_path / "finish.json").write_bytes(text)
    found = run_finish(tmp_path)
    assert found[0] == status
    assert "finish.json" in found[1]["error"]["message"]


def test_no_folder_is_told(tmp_path: Path) -> None:
    assert run_finish(tmp_path / "none")[0] == 3


def test_options_survive_a_round_trip_without_secrets() -> None:
    data = {
        "MixerConfig": {"Gap": 4},
        "RecordingConfig": {"MediaChannel": 3, "FileType": ["mp4", "webm"], "StorageConfig": {"SecretKey": "s3cret"}},
        "NotifyConfig": [{"Token": "s3cret"}],
        "LiveConfig": {"Url": "rtmp://s3cret"},
    }
    store = {"Vendor": "ucloud", "Bucket": "b", "PublicKey": "s3cret", "SecretKey": "s3cret"}
    text = FinishOptions(
        "job", "room", "app", "rec/$JobId", store, "opus", "m4a", {"alice": "Alice 王"}, data=data
    ).to_json()
    assert b"s3cret" not in text
    again = FinishOptions.from_json(text)
    assert again.to_json() == text
    assert again.data["MixerConfig"] == {"Gap": 4}


def composed(command: Command, job_file: Path, output: Path) -> tuple[list[float], Any]:
    """The mean brightness of each picture of the composed room, and its sound."""
    done = command.run(job_file)
    assert done.returncode == 0, done.stderr
    video, sound = read_video(output), read_sound(output)
    assert video
    assert sound
    width, height = video.size
    return [luma(picture, (0, 0, width, height)) for picture in video.pictures], sound.samples


def bright_from(levels: list[float]) -> list[int]:
    """The first picture of each flash of anybody."""
    threshold = (min(levels[5:-5]) + max(levels)) / 2
    bright = [level > threshold for level in levels]
    return [n for n in range(1, len(bright)) if bright[n] and not bright[n - 1]]


def test_the_room_is_composed_at_once_and_flashes_land_on_their_frames(tmp_path: Path, command: Command) -> None:
    assert EPOCH_MS * 1000 == START_US
    data = {"TranscodingConfig": {"Video": VIDEO}, "MixerConfig": {"MixedVideoLayout": 1}}
    root = tmp_path / "room"
    lay_out(root, [ALICE, BOB], data=data, user_names={"bob": "Bob"})
    finish_here(RoomFolder(root))
    levels, samples = composed(command, root / "cfg.json", root / "job.mp4")
    # Output time 0 is when alice's first frame was captured; frame n shows the middle of its time.
    marks_s = [mark / 1000 for mark in (1000, 2000, 3000)]
    assert bright_from(levels) == [int(np.ceil(mark * FPS - 0.5)) for mark in marks_s]
    assert beeps(samples, ALICE.tone_hz) == pytest.approx([1.0, 3.0], abs=ONSET_S)
    assert beeps(samples, BOB.tone_hz) == pytest.approx([2.0], abs=ONSET_S)


def test_a_job_of_single_streams_alone_composes_and_updates_are_used(tmp_path: Path, command: Command) -> None:
    root = tmp_path / "room"
    data = {"JobConfig": {"IdleTime": 60}, "RecordingConfig": {"MediaChannel": 3, "FileType": ["mp4", "webm"]}}
    lay_out(root, [ALICE, BOB], data=data)
    muted = {"RtcStreamId": "alice_1", "HasVideo": True, "MuteVideo": True, "HasAudio": True, "MuteAudio": True}
    update = {"At": START_US // 1000 + 2500, "Action": "job.stream.update", "Data": {"StreamConfig": [muted]}}
    (root / "updates.jsonl").write_text(json.dumps(update) + "\n")
    finish_here(RoomFolder(root))
    _, samples = composed(command, root / "cfg.json", root / "job.mp4")
    assert beeps(samples, ALICE.tone_hz) == pytest.approx([1.0], abs=ONSET_S)


def test_options_of_the_room_may_change(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [replace(ALICE, codec=None)])
    finish_here(folder)
    configure(tmp_path, user_names={"alice": "Alice\n王"})
    finish_here(folder)
    (entry,) = json.loads((tmp_path / "index.json").read_bytes())["Files"]
    assert entry["UserName"] == "Alice 王"


@pytest.mark.parametrize("upload", [False, True])
def test_updates_that_cannot_be_used_hold_up_no_recording(tmp_path: Path, *, upload: bool) -> None:
    root, store = tmp_path / "room", tmp_path / "store"
    store.mkdir()
    folder = lay_out(root, [replace(ALICE, codec=None)], store={"Vendor": "local", "Bucket": str(store)})
    with (root / "updates.jsonl").open("wb") as file:
        file.truncate(MAX_INDEX_BYTES + 1)
    settings = Settings(local=LocalSettings(roots=(store,)))
    report = finish(folder, settings, None, dict if upload else None, do_here)
    (warning,) = report["warnings"]
    assert warning.startswith("updates.jsonl is left out")
    assert report["index"] == "index.json"
    assert {path.name for path in store.rglob("*") if path.is_file()} == (
        {"alice_1-s0.webm", "job.json", "job.cfg.json"} if upload else set()
    )


def test_options_and_job_are_written_without_indentation(tmp_path: Path) -> None:
    """Lists in lists would grow beyond what is read."""
    deep: Any = [0] * 10_000
    for _ in range(50):
        deep = [deep]
    folder = lay_out(tmp_path, [replace(ALICE, codec=None)], data={"MixerConfig": {"PositionConfig": deep}})
    finish_here(folder)
    for name in ("finish.json", "cfg.json"):
        assert (tmp_path / name).stat().st_size < 30_000
