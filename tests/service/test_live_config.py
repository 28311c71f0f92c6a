"""Jobs with Mode 1: which are accepted, where they push to, and what nobody is shown of that."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from owtmix.service import jobs
from owtmix.service.actions import ACTIONS
from owtmix.service.masking import masked_address
from tests.service.conftest import START, STORE, Rig

KEY: Final = "key-1"
URL: Final = f"rtmp://live.example.com/app/{KEY}"
MIXED: Final[dict[str, Any]] = START | {
    "RecordingConfig": {
        "MediaChannel": 3,
        "FileType": ["mp4"],
        "StorageConfig": STORE | {"FileNamePrefix": "mixes/$RoomId.mp4"},
    }
}


def target(number: int, scheme: str = "rtmp") -> dict[str, str]:
    return {"Type": "rtmp", "Url": f"{scheme}://live{number}.example.com/app/key-{number}"}


def mixed(rig: Rig, data: Any = None, room: str = "r1") -> str:
    job = rig.acquired(room, mode=1)
    answer = rig.act("job.start", job, MIXED if data is None else data)
    assert answer["RetCode"] == 0, answer
    return job


def document(rig: Rig, job: str) -> dict[str, Any]:
    found: dict[str, Any] = rig.run(lambda c: jobs.find(c, job)).document
    return found


def test_a_room_is_mixed(rig: Rig) -> None:
    job = mixed(rig)
    rig.recorder.mix = {"Mix": {"chunks": 3, "done_s": 6.0, "behind_s": 2.5, "begun_us": 1}, "Pushes": []}
    answer = rig.act("job.query", job)
    assert (answer["Internal"]["Mode"], answer["Data"]["Mix"]["behind_s"]) == (1, 2.5)
    assert rig.recorder.asked == [("begin", job)]


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (MIXED | {"TranscodingConfig": {"Video": {"Width": 641, "Height": 360}}}, 4, "Width"),
        (MIXED | {"TranscodingConfig": {"Audio": {"SampleRate": 44100}}}, 5, "48000"),
        (MIXED | {"MixerConfig": {"MixedVideoLayout": 9}}, 4, "MixedVideoLayout"),
        ({"RecordingConfig": MIXED["RecordingConfig"] | {"FileType": ["webm"]}}, 1, "WebM"),
        ({"RecordingConfig": MIXED["RecordingConfig"] | {"FileType": "mp4"}}, 1, "FileType"),
        (
            {"RecordingConfig": MIXED["RecordingConfig"] | {"StorageConfig": STORE | {"FileNamePrefix": "a/...mp4"}}},
            1,
            "names a folder",
        ),
        ({"LiveConfig": {"Type": "srt", "Url": URL}}, 1, "Type"),
        ({"LiveConfig": {"Type": "rtmp"}}, 1, "Url: accepted is an address"),
        ({"LiveConfig": {"Url": 7}}, 1, "an object with Type and Url"),
        ({"LiveConfig": [target(1), {"Url": f"http://live.example.com/{KEY}"}]}, 1, "Data.LiveConfig[1].Url"),
        ({"LiveConfig": {"Url": f"rtmp:///app/{KEY}"}}, 1, "an address"),
        ({"LiveConfig": {"Url": f"rtmp://live.example.com:99999/app/{KEY}"}}, 1, "an address"),
        ({"LiveConfig": {"Url": f"rtmp://live.example.com/app/{KEY} x"}}, 1, "an address"),
        ({"LiveConfig": [target(number) for number in range(9)]}, 1, "at most 8"),
    ],
)
def test_a_wrong_mix_is_not_started(rig: Rig, data: Any, code: int, words: str) -> None:
    job = rig.acquired(mode=1)
    answer = rig.act("job.start", job, data)
    assert (answer["RetCode"], rig.recorder.asked) == (code, [])
    assert words in answer["Message"]
    assert KEY not in answer["Message"]
    assert rig.act("job.start", job, MIXED)["RetCode"] == 0


@pytest.mark.parametrize("types", [["mp4"], ["mp4", "webm"], ["webm", "mp4"], None])
def test_a_mix_is_mp4_wherever_that_is_allowed(rig: Rig, types: list[str] | None) -> None:
    recording = {name: value for name, value in MIXED["RecordingConfig"].items() if name != "FileType"}
    job = mixed(rig, {"RecordingConfig": recording | ({"FileType": types} if types else {})})
    assert rig.act("job.query", job)["Data"]["RecordingConfig"]["FileType"][0] == "mp4"


def test_a_mix_may_only_be_pushed(rig: Rig) -> None:
    job = mixed(rig, {"LiveConfig": {"Type": "rtmp", "Url": URL}})
    answer = rig.act("job.query", job)
    assert answer["Data"]["LiveConfig"] == {"Type": "rtmp", "Url": "rtmp://live.example.com/app/***"}
    assert "RecordingConfig" not in answer["Data"]


def test_targets_come_and_go(rig: Rig) -> None:
    job = mixed(rig)
    assert rig.act("job.live.stop", job)["RetCode"] == 3
    assert rig.act("job.live.start", job)["RetCode"] == 1
    answer = rig.act("job.live.start", job, {"LiveConfig": target(1)})
    assert (answer["RetCode"], answer["Ack"]) == (0, "job.live.stat")
    assert answer["Data"] == {"LiveConfig": {"Type": "rtmp", "Url": "rtmp://live1.example.com/app/***"}}
    assert rig.act("job.live.start", job, {"LiveConfig": target(1)})["RetCode"] == 2
    assert rig.act("job.live.start", job, {"LiveConfig": [target(1), target(2, "rtmps"), target(3)]})["RetCode"] == 0
    assert document(rig, job)["LiveConfig"] == [target(1), target(2, "rtmps"), target(3)]
    assert rig.act("job.live.stop", job, {"LiveConfig": target(9)})["RetCode"] == 3
    answer = rig.act("job.live.stop", job, {"LiveConfig": [target(1), target(3)]})
    assert (answer["RetCode"], document(rig, job)["LiveConfig"]) == (0, target(2, "rtmps"))
    answer = rig.act("job.live.stop", job)
    assert (answer["RetCode"], answer["Data"]) == (0, {"LiveConfig": []})
    assert rig.act("job.live.start", job, {"LiveConfig": [target(n) for n in range(8)]})["RetCode"] == 0
    answer = rig.act("job.live.start", job, {"LiveConfig": target(8)})
    assert (answer["RetCode"], "at most 8" in answer["Message"]) == (1, True)


def test_stream_keys_are_nowhere_when_all_is_over(rig: Rig) -> None:
    job = mixed(rig, MIXED | {"LiveConfig": target(1)})
    rig.act("job.live.start", job, {"LiveConfig": target(2)})
    page = rig.get(f"/jobs/{job}").text
    assert "key-1" not in page
    assert "live1.example.com/app/***" in page
    rig.run(lambda c: jobs.mask_secrets(c, jobs.find(c, job)))
    kept = json.dumps(document(rig, job)) + str(rig.run(lambda c: jobs.revisions(c, jobs.find(c, job), [*ACTIONS])))
    assert "live2.example.com" in kept
    assert "key-" not in kept


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtmp://h/app/key", "rtmp://h/app/***"),
        ("rtmp://h/app/room/key?sign=1", "rtmp://h/app/***?***"),
        ("rtmps://u:p@h:1936/app/key", "rtmps://***@h:1936/app/***"),
        ("rtmp://h/key", "rtmp://h/***"),
        ("rtmp://h", "rtmp://h"),
    ],
)
def test_of_an_address_only_its_application_is_shown(address: str, shown: str) -> None:
    assert masked_address(address) == shown


def test_only_so_many_rooms_are_mixed(rig: Rig) -> None:
    mixed(rig)
    job = rig.acquired("r2", mode=1)
    answer = rig.act("job.start", job, MIXED)
    assert (answer["RetCode"], "1 room is mixed live" in answer["Message"]) == (1, True)
    assert rig.act("job.start", rig.acquired("r3"), START)["RetCode"] == 0
    first = next(one for _, one in rig.recorder.asked)
    rig.run(lambda c: jobs.set_state(c, jobs.find(c, first), "ended", rig.now_us))
    assert rig.act("job.start", job, MIXED)["RetCode"] == 0


def test_with_mode_0_targets_have_no_effect(rig: Rig) -> None:
    job = rig.acquired()
    answer = rig.act("job.start", job, START | {"LiveConfig": target(1)})
    assert (answer["RetCode"], "Data.LiveConfig only counts with Mode 1" in answer["Message"]) == (0, True)


def test_the_pages_tell_how_far_a_mix_is(rig: Rig) -> None:
    job = mixed(rig)
    push = {"url": "rtmp://h/app/***", "state": "living", "reason": ""}
    rig.recorder.mix = {"Mix": {"chunks": 3, "done_s": 6.0, "behind_s": 2.5, "begun_us": 1}, "Pushes": [push]}
    assert "6 s, 2.5 s behind" in rig.get("/").text
    page = rig.get(f"/jobs/{job}").text
    assert "Pushed to" in page
    assert "rtmp://h/app/***" in page
    metrics = rig.get("/metrics").text
    assert f'owt_mix_behind_seconds{{job="{job}"}} 2.5' in metrics
    rig.run(lambda c: jobs.set_state(c, jobs.find(c, job), "ended", rig.now_us))
    assert "owt_mix_behind_seconds{" not in rig.get("/metrics").text
