"""What each action does to a job, and with which RetCode others are refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest

from owtmix.service import callbacks, changes, control, jobs
from owtmix.service.actions import ACTIONS
from owtmix.service.database import connect
from owtmix.service.tokens import make_token
from tests.service.conftest import KEY, NOW_US, START, STORE, Rig

UPDATES: Final[dict[str, dict[str, Any]]] = {
    "job.mixer.update": {"MixerConfig": {"MixedVideoLayout": 2}},
    "job.subscribe.update": {"SubscribeConfig": {"MaxSubscriptions": 4}},
    "job.transcoding.update": {"TranscodingConfig": {"Video": {"BitRate": 700}}},
    "job.stream.update": {"StreamConfig": [{"RtcStreamId": "a_1", "MuteVideo": True}]},
    "job.notify.update": {
        "NotifyConfig": [
            {"Status": "open", "ServiceType": "job.oss", "NotifyUrl": "http://127.0.0.1:2/", "Token": "t2"}
        ]
    },
    "job.update": {"MixerConfig": {"ResizeMode": 0}, "SubscribeConfig": {"MaxSubscriptions": 3}},
}


def test_a_job_goes_through_its_states(rig: Rig) -> None:
    job = rig.acquired()
    assert job == f"app1-r1-0-{NOW_US // 10**6}-1"
    for action in ("job.query", "job.stop", "job.record.start", "job.record.stop", *UPDATES):
        assert rig.act(action, job, UPDATES.get(action)).get("RetCode") == 3, action
    answer = rig.act("job.start", job, START)
    assert (answer["RetCode"], answer["Message"], answer["Ack"]) == (0, "OK", "job.stat")
    assert rig.act("job.start", job, START)["RetCode"] == 2
    assert rig.act("job.query", job)["Data"]["State"] == "running"
    assert rig.act("job.stop", job)["RetCode"] == 0
    assert rig.act("job.query", job)["Data"]["State"] == "stopping"
    assert rig.act("job.mixer.update", job, UPDATES["job.mixer.update"])["RetCode"] == 3
    assert rig.recorder.asked == [("begin", job), ("end", job)]
    rig.run(lambda c: jobs.set_state(c, jobs.find(c, job), "ended", NOW_US))
    for action in ("job.query", "job.stop", "job.start"):
        assert rig.act(action, job, START if action == "job.start" else None)["RetCode"] == 3, action


@pytest.mark.parametrize("action", UPDATES)
def test_updates_are_kept_and_answered_as_they_are_in_force(rig: Rig, action: str) -> None:
    job = rig.started()
    answer = rig.act(action, job, UPDATES[action])
    assert (answer["RetCode"], answer["Message"], answer["Ack"]) == (0, "OK", ACTIONS[action].ack)
    for name, section in UPDATES[action].items():
        if isinstance(section, dict):
            assert _without_video(section).items() <= answer["Data"][name].items()
    found = rig.run(lambda c: jobs.revisions(c, jobs.find(c, job), [*ACTIONS]))
    assert [(one.action, one.data) for one in found] == [("job.start", START), (action, UPDATES[action])]
    assert rig.recorder.asked == [("begin", job), ("change", job)]


def _without_video(section: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name != "Video"}


def test_keys_that_an_update_does_not_have_stay(rig: Rig) -> None:
    job = rig.started(data=START | {"MixerConfig": {"MixedVideoLayout": 4, "Gap": 8}})
    rig.act("job.mixer.update", job, {"MixerConfig": {"Gap": 2}})
    rig.act("job.transcoding.update", job, UPDATES["job.transcoding.update"])
    data = rig.act("job.query", job)["Data"]
    assert (data["MixerConfig"]["MixedVideoLayout"], data["MixerConfig"]["Gap"]) == (4, 2)
    video = data["TranscodingConfig"]["Video"]
    assert (video["Width"], video["Height"], video["BitRate"]) == (640, 360, 700)


def test_the_background_only_counts_at_the_start(rig: Rig) -> None:
    red, blue = {"R": 200, "G": 0, "B": 0}, {"R": 0, "G": 0, "B": 200}
    job = rig.started(data=START | {"MixerConfig": {"BackgroundColor": red}})
    answer = rig.act("job.mixer.update", job, {"MixerConfig": {"BackgroundColor": blue, "ResizeMode": 0}})
    assert answer["RetCode"] == 0
    assert "BackgroundColor" in answer["Message"]
    assert (answer["Data"]["MixerConfig"]["BackgroundColor"], answer["Data"]["MixerConfig"]["ResizeMode"]) == (red, 0)


@pytest.mark.parametrize(
    ("action", "data", "code", "words"),
    [
        ("job.mixer.update", {}, 1, "MixerConfig"),
        ("job.mixer.update", {"SubscribeConfig": {}}, 1, "MixerConfig"),
        ("job.mixer.update", {"MixerConfig": []}, 1, "an object"),
        ("job.mixer.update", {"MixerConfig": {"MixedVideoLayout": 9}}, 4, "Data.MixerConfig.MixedVideoLayout: found 9"),
        ("job.transcoding.update", {"TranscodingConfig": {"Video": {"Fps": 0}}}, 4, "Fps"),
        ("job.transcoding.update", {"TranscodingConfig": {"Audio": {"SampleRate": 44100}}}, 5, "48000"),
        ("job.stream.update", {"StreamConfig": {}}, 1, "a list"),
        ("job.stream.update", {"StreamConfig": [{"RtcStreamId": "a"}]}, 1, r"Data.StreamConfig[0].RtcStreamId"),
        ("job.notify.update", {"NotifyConfig": [{"Status": "ajar"}]}, 1, "Status"),
        ("job.live.start", {"LiveConfig": {"Type": "rtmp", "Url": "rtmp://127.0.0.1/a/b"}}, 1, "Mode 1"),
        ("job.live.stop", {}, 1, "Mode 1"),
    ],
)
def test_wrong_updates_change_nothing(rig: Rig, action: str, data: Any, code: int, words: str) -> None:
    job = rig.started()
    before = rig.act("job.query", job)["Data"]
    answer = rig.act(action, job, data)
    assert answer["RetCode"] == code
    assert words in answer["Message"]
    assert answer["Internal"] == {"JobId": job}
    assert rig.act("job.query", job)["Data"] == before
    assert rig.recorder.asked == [("begin", job)]


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ({"RecordingConfig": START["RecordingConfig"] | {"FileType": ["mp4"]}}, 1, "FileType"),
        ({"RecordingConfig": {"FileType": ["mp4", "webm"], "StorageConfig": {"Vendor": "ucloud"}}}, 1, "Bucket"),
        ({"TranscodingConfig": {"Video": {"Width": 641, "Height": 360}}}, 4, "Width"),
        ({"JobConfig": {"IdleTime": -1}}, 1, "IdleTime"),
    ],
)
def test_a_wrong_start_starts_nothing(rig: Rig, data: Any, code: int, words: str) -> None:
    job = rig.acquired()
    answer = rig.act("job.start", job, data)
    assert (answer["RetCode"], rig.recorder.asked) == (code, [])
    assert words in answer["Message"]
    assert rig.act("job.start", job, START)["RetCode"] == 0


def test_recording_may_begin_and_end_by_itself(rig: Rig) -> None:
    job = rig.started(data={"JobConfig": {"IdleTime": 30}})
    assert "RecordingConfig" not in rig.act("job.query", job)["Data"]
    assert rig.act("job.record.stop", job)["RetCode"] == 3
    assert rig.act("job.record.start", job)["RetCode"] == 1
    answer = rig.act("job.record.start", job, {"RecordingConfig": START["RecordingConfig"]})
    assert (answer["RetCode"], answer["Ack"]) == (0, "job.record.stat")
    assert answer["Data"]["RecordingConfig"]["StorageConfig"]["SecretKey"] == "***"
    assert rig.act("job.record.start", job, {"RecordingConfig": START["RecordingConfig"]})["RetCode"] == 2
    assert rig.act("job.record.stop", job)["RetCode"] == 0
    assert rig.act("job.record.start", job, {"RecordingConfig": {"MediaChannel": 1}})["RetCode"] == 0
    assert [what for what, _ in rig.recorder.asked] == ["begin", "change", "change", "change"]


def test_one_job_for_a_room(rig: Rig) -> None:
    first, second = rig.acquired(), rig.acquired()
    assert rig.act("job.start", first, START)["RetCode"] == 0
    answer = rig.act("job.start", second, START)
    assert (answer["RetCode"], first in answer["Message"]) == (2, True)


def test_the_same_request_is_given_the_same_job_for_ten_minutes(rig: Rig) -> None:
    first = rig.acquired(request="q1")
    assert rig.acquired(request="q1") == first
    assert rig.acquired(request="q2") != first
    assert rig.acquired(room="r2", request="q1") != first
    rig.now_us += jobs.ACQUIRED_US + 1
    assert rig.acquired(request="q1") != first


def test_requests_of_the_samples_are_not_the_same(rig: Rig) -> None:
    assert rig.acquired(request="0") != rig.acquired(request="0")


def test_limits_are_kept_when_a_job_is_acquired(rig: Rig) -> None:
    for number in range(5):
        rig.acquired(room=f"r{number}")
    answer = rig.act("job.acquire", AppId="app1", RoomId="r", Mode=0, ChannelType=0)
    assert (answer["RetCode"], "all 5 jobs" in answer["Message"]) == (1, True)
    rig.now_us += jobs.ACQUIRED_US + 1  # they were never started
    assert rig.run(lambda c: jobs.end_unstarted(c, rig.now_us)) == 5
    rig.acquired()
    rig.recorder.full = "the disk of this service is nearly full: try again later"
    answer = rig.act("job.acquire", AppId="app1", RoomId="r", Mode=0, ChannelType=0)
    assert (answer["RetCode"], answer["Message"]) == (1, rig.recorder.full)


def test_a_service_that_ends_begins_no_job(rig: Rig) -> None:
    job = rig.acquired()
    rig.control.draining = True
    assert rig.act("job.acquire", AppId="a", RoomId="r", Mode=0, ChannelType=0)["RetCode"] == 1
    assert rig.act("job.start", job, START)["RetCode"] == 1


@pytest.mark.parametrize(
    ("internal", "words"),
    [
        ({}, "AppId"),
        ({"AppId": "a", "RoomId": 5, "Mode": 0, "ChannelType": 0}, "RoomId: found 5"),
        ({"AppId": "a", "RoomId": "r", "Mode": 2, "ChannelType": 0}, "Mode: found 2"),
        ({"AppId": "a", "RoomId": "r", "Mode": False, "ChannelType": 0}, "Mode"),
        ({"AppId": "a", "RoomId": "r\n", "Mode": 0, "ChannelType": 0}, "RoomId"),
        ({"AppId": "a" * 257, "RoomId": "r", "Mode": 0, "ChannelType": 0}, "AppId"),
    ],
)
def test_a_job_needs_its_place(rig: Rig, internal: Any, words: str) -> None:
    answer = rig.act("job.acquire", **internal)
    assert (answer["RetCode"], words in answer["Message"]) == (1, True), answer


def test_any_room_makes_a_job_id(rig: Rig) -> None:
    job = rig.acquired(room="../房间 7" + "x" * 200)
    assert job.startswith("app1-______7xxx")
    assert rig.act("job.start", job, START)["RetCode"] == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"[]", "a list"),
        (b'{"Action": "job.acquire",}', "line 1, column 25"),
        (b'{"Action": 5}', "found 5"),
        (b'{"Action": "job.fly"}', "job.acquire"),
        (b'{"Action": "job.stop", "Internal": []}', "Internal"),
        (b'{"Action": "job.stop", "Token": 5}', "Token"),
        (b'{"Action": "job.stop"}', "JobId"),
        (b'{"Action": "job.stop", "Internal": {"JobId": "none"}}', "no job"),
        (b'{"Action": "job.stop", "Internal": {"JobId": "\\u0000"}}', "no job"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "deep"),
    ],
)
def test_what_is_no_request_is_told_so(rig: Rig, body: bytes, words: str) -> None:
    answer = rig.post(body)
    assert answer["RetCode"] in {1, 3}
    assert words in answer["Message"]
    assert answer["Version"] == "1.0"


def test_an_empty_key_is_ignored(rig: Rig) -> None:
    internal = {"AppId": "a", "RoomId": "r", "Mode": 0, "ChannelType": 0}
    assert rig.post({"Action": "job.acquire", "": "", "Internal": internal})["RetCode"] == 0


def test_no_secret_is_in_any_answer(rig: Rig) -> None:
    job = rig.started(data=START | {"LiveConfig": {"Type": "rtmp", "Url": "rtmp://h/app/key-1"}})
    answers = [rig.act(action, job, data) for action, data in (UPDATES | {"job.query": {}, "job.stop": {}}).items()]
    text = json.dumps(answers)
    assert not [secret for secret in ("pub-1", "sec-1", "tok-1", "t=1", '"t2"', "key-1") if secret in text]


def test_tokens_are_checked_against_the_room_of_the_job(guarded: Rig) -> None:
    def asked(token: str, **rest: Any) -> dict[str, Any]:
        return guarded.post({"Token": token, **rest})

    place = {"AppId": "app1", "RoomId": "r1", "Mode": 0, "ChannelType": 0}
    now_s = NOW_US // 10**6
    good = make_token("u1", "r1", "app1", KEY, now_s, "abcdefgh")
    other = make_token("u1", "r2", "app1", KEY, now_s, "abcdefgh")
    assert asked("", Action="job.acquire", Internal=place)["RetCode"] == 1
    assert asked(other, Action="job.acquire", Internal=place)["RetCode"] == 1
    job = asked(good, Action="job.acquire", Internal=place)["Data"]["JobId"]
    refused = asked(other, Action="job.start", Internal={"JobId": job}, Data=START)
    assert (refused["RetCode"], "another room" in refused["Message"]) == (1, True)
    assert asked(good, Action="job.start", Internal={"JobId": job}, Data=START)["RetCode"] == 0
    found = guarded.run(lambda c: jobs.revisions(c, jobs.find(c, job), ["job.start"]))
    assert [one.user for one in found] == ["u1"]


def test_callbacks_are_stored_with_the_change_for_those_who_are_told(rig: Rig) -> None:
    rig.started()
    rows = rig.run(lambda c: [dict(row) for row in c.execute("SELECT url, event, body FROM callback")])
    (row,) = rows
    body = json.loads(row["body"])
    assert row["url"] == "http://127.0.0.1:1/cb?t=1"
    assert (body["ServiceType"], body["EventType"], body["Token"]) == (
        "job.record",
        "ucloud_record_status_update",
        "tok-1",
    )
    assert body["Data"] == {"Status": "SERVICE_STATUS_RUNNING"}
    assert rig.run(callbacks.count) == {"waiting": 1, "given up": 0}


def test_changes_at_the_same_time_are_all_kept(rig: Rig) -> None:
    job = rig.started()

    async def all_at_once() -> list[bytes]:
        bodies = [
            json.dumps({"Action": "job.mixer.update", "Internal": {"JobId": job}, "Data": {"MixerConfig": {key: 3}}})
            for key in ("Gap", "CornerRadius", "PageSize", "MixedVideoLayout")
        ]
        return [done.body for done in await asyncio.gather(*(rig.control.answer(b.encode()) for b in bodies))]

    assert {json.loads(body)["RetCode"] for body in asyncio.run(all_at_once())} == {0}
    mixer = rig.act("job.query", job)["Data"]["MixerConfig"]
    assert [mixer[key] for key in ("Gap", "CornerRadius", "PageSize", "MixedVideoLayout")] == [3, 3, 3, 3]


def test_what_an_answer_promised_survives(rig: Rig) -> None:
    job = rig.started()
    rig.act("job.mixer.update", job, UPDATES["job.mixer.update"])
    answer = rig.act("job.query", job)
    path = rig.run(lambda c: c.execute("PRAGMA database_list").fetchone()["file"])
    found = jobs.find(connect(path), job)
    assert found.in_force["MixerConfig"]["MixedVideoLayout"] == answer["Data"]["MixerConfig"]["MixedVideoLayout"] == 2


def test_an_ended_job_keeps_no_secret(rig: Rig) -> None:
    job = rig.started()
    rig.act("job.notify.update", job, UPDATES["job.notify.update"])
    rig.run(lambda c: jobs.mask_secrets(c, jobs.find(c, job)))
    rows = rig.run(
        lambda c: [*map(tuple, c.execute("SELECT * FROM job")), *map(tuple, c.execute("SELECT * FROM revision"))]
    )
    assert not [secret for secret in ("pub-1", "sec-1", "tok-1", '"t2"') if secret in repr(rows)]
    assert "cn-bj" in repr(rows)


NULLS: Final[dict[str, Any]] = {
    "JobConfig": {"IdleTime": None, "KeyStream": None},
    "TranscodingConfig": {"Video": None, "Audio": None},
    "MixerConfig": {"WaterMark": None, "LayoutConfig": None, "ResizeMode": None},
    "SubscribeConfig": {"SubscribeAudio": None, "UnsubscribeVideo": None, "MaxSubscriptions": None},
    "RecordingConfig": START["RecordingConfig"] | {"MediaChannel": None},
    "NotifyConfig": None,
    "Names": {"alice": None},
}


def test_what_is_null_is_not_given_and_not_kept(rig: Rig) -> None:
    transcoding = NULLS["TranscodingConfig"] | START["TranscodingConfig"]
    job = rig.started(data=NULLS | {"TranscodingConfig": transcoding})
    rig.act("job.subscribe.update", job, {"SubscribeConfig": {"SubscribeAudio": None, "MaxSubscriptions": 3}})
    rows = rig.run(
        lambda c: [tuple(row) for row in c.execute("SELECT document, data FROM job JOIN revision ON job = n")]
    )
    assert len(rows) == 2
    assert "null" not in repr(rows)


@pytest.mark.parametrize(
    "live",
    [
        {"Type": "rtmp", "Url": "rtmp://h" + "\u0301" * 100_000},
        {"Type": "rtmp", "Url": 5},
        {"Type": "rtmp", "Url": ["rtmp://h/a/b"]},
        ["rtmp://h/a/b"],
        "rtmp://h/a/b",
    ],
)
def test_where_live_streams_go_is_bounded(rig: Rig, live: Any) -> None:
    answer = rig.act("job.start", rig.acquired(), START | {"LiveConfig": live})
    assert (answer["RetCode"], "LiveConfig" in answer["Message"]) == (1, True)


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ({"Vendor": "local", "Bucket": "/etc"}, "roots"),
        ({"Vendor": "local", "Bucket": "."}, "roots"),
        (STORE | {"Bucket": "x y/../z"}, "bucket"),
        (STORE | {"Bucket": "b"}, "bucket"),
        ({"Vendor": "s3", "Bucket": "lessons", "Endpoint": "nonsense"}, "address"),
        ({"Vendor": "s3", "Bucket": "lessons", "Endpoint": "https://user:pw-1@h"}, "address"),
    ],
)
def test_what_could_never_be_uploaded_is_not_recorded(rig: Rig, store: Any, words: str) -> None:
    recording = START["RecordingConfig"] | {"StorageConfig": store}
    job = rig.acquired()
    answer = rig.act("job.start", job, START | {"RecordingConfig": recording})
    assert (answer["RetCode"], words in answer["Message"].lower(), "pw-1" in answer["Message"]) == (1, True, False)
    assert rig.act("job.start", job, {})["RetCode"] == 0
    assert rig.act("job.record.start", job, {"RecordingConfig": recording})["RetCode"] == 1


def test_a_configuration_is_as_large_as_a_job_file_at_most(rig: Rig) -> None:
    job = rig.started()
    names = [f"{number:05}{'m' * 200}_1" for number in range(3000)]
    assert rig.act("job.subscribe.update", job, {"SubscribeConfig": {"SubscribeAudio": names}})["RetCode"] == 0
    answer = rig.act("job.subscribe.update", job, {"SubscribeConfig": {"SubscribeVideo": names}})
    assert (answer["RetCode"], "1,048,576" in answer["Message"]) == (1, True)


def test_no_more_updates_are_taken_than_composing_takes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    job = rig.started()
    monkeypatch.setattr(changes, "MAX_UPDATES", 2)
    update = UPDATES["job.mixer.update"]
    assert [rig.act("job.mixer.update", job, update)["RetCode"] for _ in range(3)] == [0, 0, 1]
    assert rig.act("job.notify.update", job, UPDATES["job.notify.update"])["RetCode"] == 0
    monkeypatch.setattr(changes, "MAX_UPDATES", 100)
    monkeypatch.setattr(changes, "_MOST_BYTES", 200)
    assert [rig.act("job.mixer.update", job, update)["RetCode"] for _ in range(3)].count(1) > 0


def test_no_more_watermarks_are_taken_than_composing_takes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    job = rig.started()
    monkeypatch.setattr(changes, "MAX_ROOM_IMAGES", 2)

    def marked(number: int) -> int:
        mark = {"Type": 2, "Image": f"http://127.0.0.1/{number}.png", "X": 0, "Y": 0, "Alpha": 1}
        return int(rig.act("job.mixer.update", job, {"MixerConfig": {"WaterMark": [mark]}})["RetCode"])

    assert [marked(number) for number in (1, 2, 1, 3)] == [0, 0, 0, 1]
    assert rig.act("job.mixer.update", job, UPDATES["job.mixer.update"])["RetCode"] == 0


def test_recording_goes_on_as_it_was_told_before(rig: Rig) -> None:
    job = rig.started()
    assert rig.act("job.record.stop", job)["RetCode"] == 0
    assert rig.act("job.record.start", job)["RetCode"] == 0


def test_who_stopped_a_job_is_kept(rig: Rig) -> None:
    job = rig.started()
    for action in ("job.record.stop", "job.stop"):
        assert rig.act(action, job)["RetCode"] == 0
    found = rig.run(lambda c: jobs.revisions(c, jobs.find(c, job), [*ACTIONS]))
    assert [one.action for one in found] == ["job.start", "job.record.stop", "job.stop"]


def test_a_change_that_others_always_forestall_is_made_at_last(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    job = rig.started()
    forestalled: list[bool] = []
    keep = changes.keep_change

    def others_first(connection: Any, change: Any) -> Any:
        if len(forestalled) < control.MOST_RACES:
            forestalled.append(True)
            jobs.note(connection, jobs.find(connection, job), NOW_US, "", "job.mixer.update", {})
        return keep(connection, change)

    monkeypatch.setattr("owtmix.service.control.keep_change", others_first)
    assert rig.act("job.mixer.update", job, UPDATES["job.mixer.update"])["RetCode"] == 0
    assert len(forestalled) == control.MOST_RACES


def test_a_job_that_began_while_the_service_was_told_to_end_is_ended(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    job = rig.acquired()
    keep = changes.keep_change

    def told_meanwhile(connection: Any, change: Any) -> Any:
        rig.control.draining = True
        return keep(connection, change)

    monkeypatch.setattr("owtmix.service.control.keep_change", told_meanwhile)
    assert rig.act("job.start", job, START)["RetCode"] == 0
    assert rig.recorder.asked == [("begin", job), ("end", job)]
    assert rig.run(lambda c: jobs.find(c, job)).state == "stopping"
