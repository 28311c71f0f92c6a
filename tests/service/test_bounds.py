"""What is accepted can be finished, and neither one job nor one caller takes what all others need."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from owtmix.jobfile.bounds import MAX_SECRET
from owtmix.jobfile.settings import ServiceSettings
from owtmix.notify.events import WarnCode
from owtmix.recorder.finish import read_secrets
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.recorder.options import OPTIONS_FILE, RoomOptions
from owtmix.service import callbacks, changes, control, job_events, jobs
from owtmix.service.actions import ACTIONS
from owtmix.service.control import Answered
from owtmix.service.envelope import MAX_BODY_BYTES, MAX_VALUES, read_request
from owtmix.service.finishing import Site
from owtmix.service.recordings import Recordings
from owtmix.service.room_files import UPDATES, store_keys, write_finish_options, write_room_options
from tests.service.conftest import NOW_US, START, STORE, Rig

LINE_BYTES: Final = 100
"""Of a line of the file of updates, without the update itself: its time and its action."""
WAIT_S: Final = 30.0
"""On a busy machine, for threads to come to their turn."""
MIXER: Final = {"MixerConfig": {"MixedVideoLayout": 2}}
OPEN: Final = START["NotifyConfig"][0]


def written(rig: Rig, job_id: str, folder: Path, settings: ServiceSettings | None = None) -> None:
    """Write what the recorder is told of a job, into ``folder``."""
    job, revisions = rig.run(lambda c: (job := jobs.find(c, job_id), jobs.revisions(c, job, [*ACTIONS])))
    write_room_options(folder, job, settings or ServiceSettings(), ())
    write_finish_options(folder, job, revisions, settings or ServiceSettings())


def stored(rig: Rig) -> str:
    """All of the tables of jobs and their changes."""
    rows = rig.run(
        lambda c: [tuple(row) for row in c.execute("SELECT document, data FROM job JOIN revision ON job = n")]
    )
    return repr(rows)


@pytest.mark.parametrize("text", ["é", "王", "\U0001f600", '"\\'])
def test_updates_have_the_bytes_in_their_file_that_were_counted(rig: Rig, tmp_path: Path, text: str) -> None:
    job = rig.started()
    for number in range(3):
        mark = {"Type": 3, "Text": f"{number}{text * 300}", "X": 0, "Y": 0, "Alpha": 1}
        assert rig.act("job.mixer.update", job, {"MixerConfig": {"WaterMark": [mark]}})["RetCode"] == 0
    counted = rig.run(lambda c: jobs.find(c, job)).update_bytes
    written(rig, job, tmp_path)
    size = (tmp_path / UPDATES).stat().st_size
    assert counted <= size <= counted + 3 * LINE_BYTES


def test_unknown_keys_are_told_and_not_kept(rig: Rig) -> None:
    job = rig.started()
    for action, data in {
        "job.mixer.update": {"MixerConfig": {"Gap": 1, "": ["lost"], "WaterMark": {"Type": 0, "Lost": "lost"}}},
        "job.notify.update": {"NotifyConfig": [OPEN | {"Lost": "lost"}], "Lost": "lost"},
        "job.stream.update": {"StreamConfig": [{"RtcStreamId": "a_1", "Lost": {"lost": 1}}]},
        "job.subscribe.update": {"SubscribeConfig": {"lost": "lost", "SubscribeAudio": ["a_1"]}},
    }.items():
        answer = rig.act(action, job, data)
        assert (answer["RetCode"], "ignored" in answer["Message"]) == (0, True)
    assert "lost" not in stored(rig).lower()
    assert all(word in stored(rig) for word in ('"Gap": 1', '"Token": "tok-1"', '"RtcStreamId": "a_1"', '["a_1"]'))


def test_of_live_streams_what_is_no_address_is_not_answered(rig: Rig) -> None:
    live = {"Type": "rtmp", "Url": "rtmp://h/app/key-1", "StreamKey": "key-2"}
    answer = rig.act("job.start", rig.acquired(), START | {"LiveConfig": live})
    assert (answer["RetCode"], "StreamKey" in answer["Message"]) == (0, True)
    assert answer["Data"]["LiveConfig"] == {"Type": "rtmp", "Url": "rtmp://h/app/***"}
    assert "key-2" not in stored(rig)


@pytest.mark.parametrize("name", ["PositionConfig", "LayoutConfig"])
def test_what_is_nested_deeply_is_finished(rig: Rig, tmp_path: Path, name: str) -> None:
    """It does not count in this mode and layout, and is answered as it was written."""
    deep: Any = [0] * 40_000
    for _ in range(50):
        deep = [deep]
    subscribe = {"SubscribeAudio": [f"{number:05}_1" for number in range(9_000)]}
    job = rig.started(data=START | {"MixerConfig": {"MixedVideoLayout": 1, name: deep}, "SubscribeConfig": subscribe})
    written(rig, job, tmp_path)
    for file in (FINISH_FILE, OPTIONS_FILE):
        assert (tmp_path / file).stat().st_size <= MAX_BODY_BYTES
    assert FinishOptions.from_json((tmp_path / FINISH_FILE).read_bytes()).data["MixerConfig"][name] == deep
    assert RoomOptions.from_json((tmp_path / OPTIONS_FILE).read_bytes()).subscribe == subscribe


@pytest.mark.parametrize(
    ("prefix", "room", "is_taken"),
    [
        ("rooms/$RoomId", "r1", True),
        ("rooms/$RoomId", "..", False),
        ("", "..", True),
        ("a" * 255, "r1", True),
        ("a" * 256, "r1", False),
        ("a/" * 410, "r1", True),
        ("a/" * 420, "r1", False),
    ],
)
def test_a_folder_that_no_file_can_be_put_into_is_not_recorded_to(
    rig: Rig, prefix: str, room: str, is_taken: bool
) -> None:
    """A job file has there the name of one output, to which only an extension is added."""
    store = STORE | {"Vendor": "local", "FileNamePrefix": prefix}
    rig.control._check_store = lambda _: None
    recording = START["RecordingConfig"] | {"StorageConfig": store}
    answer = rig.act("job.start", rig.acquired(room), {"RecordingConfig": recording})
    assert answer["RetCode"] == (0 if is_taken else 1), answer
    assert is_taken or "FileNamePrefix: " in answer["Message"]


def test_numbers_that_do_not_count_are_finished(rig: Rig, tmp_path: Path) -> None:
    job = rig.acquired()

    def asked(number: str) -> dict[str, Any]:
        data = json.dumps(START | {"MixerConfig": {"PositionConfig": [0]}}).replace("[0]", f"[{number}]")
        return rig.post(f'{{"Action":"job.start","Internal":{{"JobId":"{job}"}},"Data":{data}}}'.encode())

    for beyond in ("12.5e99", "0.1e-99", f"9.{'9' * 30}e99", f"-9.{'9' * 30}e99"):
        answer = asked(beyond)
        assert (answer["RetCode"], "exponents" in answer["Message"]) == (1, True)
    assert asked(f"1e99, 1e-99, 15e38, {'9' * 40}")["RetCode"] == 0
    written(rig, job, tmp_path)
    found = FinishOptions.from_json((tmp_path / FINISH_FILE).read_bytes()).data["MixerConfig"]["PositionConfig"]
    assert found == [1e99, 1e-99, 15 * 10**38, int("9" * 40)]


@pytest.mark.parametrize("character", ["k", "\U0001f511", "\x01"])
def test_the_longest_keys_of_a_store_are_read_by_the_recorder(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    keys = {"PublicKey": character * MAX_SECRET, "SecretKey": character * MAX_SECRET}
    recording = START["RecordingConfig"] | {"StorageConfig": STORE | keys}
    job = rig.started(data=START | {"RecordingConfig": recording})
    given = io.TextIOWrapper(io.BytesIO(store_keys(rig.run(lambda c: jobs.find(c, job)))))
    monkeypatch.setattr("sys.stdin", given)
    assert read_secrets() == keys


@pytest.mark.parametrize("bound", ["_MOST_CHANGES", "_MOST_CHANGE_BYTES"])
def test_changes_that_are_not_replayed_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    job = rig.started()
    monkeypatch.setattr(changes, bound, 3 if bound == "_MOST_CHANGES" else 400)
    codes = [rig.act("job.notify.update", job, {"NotifyConfig": [OPEN]})["RetCode"] for _ in range(4)]
    assert codes == [0, 0, 0, 1]
    assert rig.act("job.record.stop", job)["RetCode"] == 0
    assert rig.act("job.stop", job)["RetCode"] == 0


def test_callbacks_of_a_job_that_wait_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MOST_OF_A_JOB", 3)
    first, second = rig.started(), rig.started("r2")
    for code in (0, 0, 1):
        assert rig.act("job.record.stop", first)["RetCode"] == 0
        answer = rig.act("job.record.start", first)
        assert answer["RetCode"] == code
    assert "3 callbacks" in answer["Message"]
    full = job_events.RECORD.warning(WarnCode.DISK_FULL, "the disk is full, and what comes is not recorded")
    rig.run(lambda c: callbacks.store(c, jobs.find(c, first), [full, job_events.RECORD.files(["a"])]))
    assert rig.run(lambda c: callbacks.count_of(c, jobs.find(c, first))) == 4
    assert rig.run(lambda c: callbacks.count_of(c, jobs.find(c, second))) == 1


def test_on_a_disk_that_is_nearly_full_jobs_can_only_be_stopped(rig: Rig) -> None:
    job, waiting = rig.started(), rig.acquired("r2")
    rig.recorder.disk_full = "the disk of this service is nearly full: try again later"
    for action, named, data in (("job.mixer.update", job, MIXER), ("job.start", waiting, START)):
        answer = rig.act(action, named, data)
        assert (answer["RetCode"], answer["Message"]) == (1, rig.recorder.disk_full)
    assert [rig.act(action, job)["RetCode"] for action in ("job.query", "job.record.stop", "job.stop")] == [0, 0, 0]


def test_the_disk_is_looked_at_once_a_second(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    now_s = 100.0

    def looked(path: Path) -> SimpleNamespace:
        looks.append(path)
        return SimpleNamespace(free=0)

    monkeypatch.setattr(shutil, "disk_usage", looked)
    monkeypatch.setattr("owtmix.service.recordings.time", SimpleNamespace(monotonic=lambda: now_s))
    one = asyncio.Semaphore(1)
    recordings = Recordings(
        Site(rig.database, tmp_path, ServiceSettings(), lambda: None, lambda: None, lambda: NOW_US, one)
    )
    for after_s, count in ((0.0, 1), (0.9, 1), (1.0, 2)):
        now_s = 100 + after_s
        assert "nearly full" in recordings.why_disk_full()
        assert recordings.why_full() == recordings.why_disk_full()
        assert len(looks) == count


def test_one_room_does_not_take_all_places(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_UNSTARTED", 3)
    place: dict[str, Any] = {"AppId": "app1", "RoomId": "r1", "Mode": 0, "ChannelType": 0, "RequestId": "0"}
    first = rig.acquired()
    assert [rig.act("job.acquire", **place)["RetCode"] for _ in range(3)] == [0, 0, 1]
    assert "not started" in rig.act("job.acquire", **place)["Message"]
    rig.acquired("r2")
    assert rig.act("job.start", first, START)["RetCode"] == 0
    assert rig.act("job.acquire", **place)["RetCode"] == 0


def test_a_job_that_is_given_again_is_answered_as_it_is(rig: Rig) -> None:
    place: dict[str, Any] = {"AppId": "app1", "RoomId": "r1", "Mode": 0, "RequestId": "q"}
    answers = [rig.act("job.acquire", **place, ChannelType=channel)["Internal"] for channel in (0, 1)]
    assert answers[0] == answers[1]
    assert answers[0]["ChannelType"] == 0


@pytest.mark.parametrize("piece", [b'"",', b"0,", b"[],", b"[]", b'"a":0,', b'"\\n"'])
def test_a_request_of_very_many_values_is_not_read(rig: Rig, monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    read: list[bytes] = []

    def noted(body: bytes, **_: Any) -> dict[str, Any]:
        read.append(body)
        return {}

    monkeypatch.setattr("owtmix.service.envelope.read_object", noted)
    answer = rig.post(b'{"Action": "job.query", "a": [' + piece * (2 * MAX_VALUES) + b"0]}")
    assert (answer["RetCode"], "100,000 values" in answer["Message"], read) == (1, True, [])
    rig.post(b'{"Action": "job.query", "a": [' + piece * (MAX_VALUES // 4) + b"0]}")
    assert len(read) == 1


def test_large_requests_of_one_address_wait_for_each_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While those of one address are read, those of another are answered."""
    body = json.dumps({"Action": "job.query", "Data": {"": "x" * 20_000}}).encode()
    may_end, together, most = threading.Semaphore(0), 0, 0

    def slow(text: bytes) -> Any:
        nonlocal together, most
        if text.startswith(b" "):
            together += 1
            most = max(most, together)
            assert may_end.acquire(timeout=WAIT_S)
            together -= 1
        return read_request(text)

    monkeypatch.setattr(control, "read_request", slow)

    async def all_at_once() -> tuple[int, list[Answered]]:
        flood = [asyncio.create_task(rig.control.answer(b" " + body, "192.0.2.1")) for _ in range(6)]
        await asyncio.wait_for(rig.control.answer(body, "192.0.2.2"), WAIT_S)
        meanwhile = sum(task.done() for task in flood)
        may_end.release(6)
        return meanwhile, await asyncio.gather(*flood)

    meanwhile, answers = asyncio.run(all_at_once())
    assert (meanwhile, most, len(answers)) == (0, 2, 6)


@pytest.mark.parametrize(
    ("room", "number"),
    [("7", 7), ("0", 0), ("1234", 1234), ("007", None), ("00", None), ("7a", None), ("1" * 16, None)],
)
def test_a_room_of_janus_has_one_name(rig: Rig, tmp_path: Path, room: str, number: int | None) -> None:
    written(rig, rig.started(room), tmp_path, ServiceSettings(janus="ws://127.0.0.1:8188"))
    janus = RoomOptions.from_json((tmp_path / OPTIONS_FILE).read_bytes()).janus
    assert (janus.room if janus else None) == number
