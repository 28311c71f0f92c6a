"""Event bodies against the tables of the API document (14.1, 14.2), transcribed, and docs/semantics.md, "Callbacks"."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any, Final

import pytest

from owtmix.base.errors import (
    CODE_NO_STREAM,
    DestinationError,
    InputError,
    Interrupted,
    Problem,
    RenderError,
    SpecError,
    StoreError,
)
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.notify.events import Event, WarnCode, failed, finished, left_out, outline, started, stream_updates, warning
from owtmix.plan.jumps import Jump
from owtmix.plan.model import RenderPlan

COMMON: Final = ["Version", "Token", "ServiceType", "EventType", "Internal", "Data"]
FIELDS: Final[dict[str, tuple[str, dict[str, type]]]] = {
    "ucloud_mixer_status_update": ("job.mixer", {"Status": int, "StatusName": str}),
    "ucloud_mixer_warning": ("job.mixer", {"WarnCode": int, "WarnMsg": str}),
    "ucloud_mixer_error": ("job.mixer", {"ErrorCode": int, "ErrorMsg": str}),
    "ucloud_mixer_stream_update": ("job.mixer", {"StreamUid": str, "Status": str, "TimeStamp": str}),
    "ucloud_mixer_file_infos": ("job.mixer", {"FileList": list}),
    "ucloud_upload_status": ("job.oss", {"Status": int, "FileList": list}),
}
RUNNING: Final = {"Status": 1, "StatusName": "SERVICE_STATUS_RUNNING"}
EXITING: Final = {"Status": 2, "StatusName": "SERVICE_STATUS_EXITING"}
INTERRUPT: Final = {"Status": 3, "StatusName": "SERVICE_STATUS_INTERRUPT"}
# 2026-11-22 14:03:05.250 in Beijing.
EPOCH_S: Final = Fraction("1795327385.25")


def visit(start: str, end: str) -> TimeRange:
    return TimeRange(Fraction(start), Fraction(end))


def plan(
    presence: dict[str, tuple[TimeRange, ...]],
    jumps: tuple[Jump, ...] = (Jump(Fraction(0), EPOCH_S),),
    unit: str = "epoch-milliseconds",
    missing: tuple[tuple[str, str], ...] = (),
) -> RenderPlan:
    return RenderPlan(
        job_id="j1",
        output_key="j1.mp4",
        container="mp4",
        duration_s=Fraction(60),
        sources=(),
        picture=None,
        sound=None,
        presence={StreamId.parse(stream): visits for stream, visits in presence.items()},
        jumps=jumps,
        index_unit=unit,
        time_zone="Asia/Shanghai",
        absent=(),
        left_out=missing,
        warnings=(),
    )


def moves(updates: tuple[Event, ...]) -> list[tuple[str, str, str]]:
    return [(update.data["StreamUid"], update.data["Status"], update.data["TimeStamp"]) for update in updates]


ROOM: Final = plan({"ann_1": (visit("0", "30"),), "bob_2": (visit("1/2", "10"), visit("20", "60"))})
EVERY_KIND: Final = (
    started(),
    *stream_updates(ROOM),
    warning(WarnCode.INPUT_DAMAGED, "a.mp4 ends early"),
    *finished(["s3://b/j1.mp4"]),
    *failed(DestinationError("the bucket is gone"), ["s3://b/j1.mp4"]),
)


@pytest.mark.parametrize("event", EVERY_KIND, ids=lambda event: event.type)
def test_an_event_has_the_fields_of_its_table(event: Event) -> None:
    service, fields = FIELDS[event.type]
    body: dict[str, Any] = json.loads(event.body("j1", "7", "hush"))
    assert list(body) == COMMON
    assert (body["Version"], body["Token"]) == ("1.0", "hush")
    assert (body["ServiceType"], body["EventType"]) == (service, event.type)
    assert body["Internal"] == {"JobId": "j1", "RequestId": "7"}
    assert {name: type(value) for name, value in body["Data"].items()} == fields
    assert list(body["Data"]) == list(fields)


def test_every_event_of_an_offline_mix_is_in_the_tables_and_the_other_way_round() -> None:
    assert {event.type for event in EVERY_KIND} == FIELDS.keys()


def test_a_receiver_without_token_gets_none() -> None:
    assert list(json.loads(started().body("j1", "0", None))) == [name for name in COMMON if name != "Token"]


def test_a_run_starts() -> None:
    assert started().data == RUNNING
    assert not started().ends_run


def test_joins_and_leaves_in_the_order_of_the_timeline() -> None:
    assert moves(stream_updates(ROOM)) == [
        ("ann_1", "open", "1795327385250"),
        ("bob_2", "open", "1795327385750"),
        ("bob_2", "close", "1795327395250"),
        ("bob_2", "open", "1795327405250"),
        ("ann_1", "close", "1795327415250"),
        ("bob_2", "close", "1795327445250"),
    ]


def test_at_one_moment_leaves_come_before_joins() -> None:
    room = plan({"ann_1": (visit("5", "9"),), "bob_1": (visit("0", "5"),)})
    assert [(who, status) for who, status, _ in moves(stream_updates(room))] == [
        ("bob_1", "open"),
        ("bob_1", "close"),
        ("ann_1", "open"),
        ("ann_1", "close"),
    ]


def test_a_leave_before_a_cut_has_its_own_moment() -> None:
    """With IdleTime 0 the cut begins at the time of the leave."""
    jumps = (Jump(Fraction(0), EPOCH_S), Jump(Fraction(5), EPOCH_S + 100))
    room = plan({"ann_1": (visit("0", "5"),), "bob_1": (visit("5", "9"),)}, jumps)
    assert [stamp for *_, stamp in moves(stream_updates(room))] == [
        "1795327385250",
        "1795327390250",
        "1795327490250",
        "1795327494250",
    ]


def test_without_an_epoch_the_time_is_counted_from_the_start() -> None:
    room = plan({"ann_1": (visit("0", "12.3456"),)}, unit="seconds")
    assert moves(stream_updates(room)) == [("ann_1", "open", "0"), ("ann_1", "close", "12346")]


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (WarnCode.SERVICE_WARN_PROCESS_RESTART, 1),
        (WarnCode.INPUT_LEFT_OUT, 101),
        (WarnCode.INPUT_DAMAGED, 102),
        (WarnCode.WATERMARK_LEFT_OUT, 103),
        (WarnCode.STREAMS_BEYOND_LIMIT, 104),
        (WarnCode.DISK_FULL, 105),
        (WarnCode.MIX_BEHIND, 106),
        (WarnCode.MIX_FLAWED, 107),
        (WarnCode.PUSH_BROKEN, 108),
        (WarnCode.PUSH_SLOW, 109),
    ],
)
def test_warnings_have_their_numbers(code: WarnCode, number: int) -> None:
    event = warning(code, "why")
    assert event.data == {"WarnCode": number, "WarnMsg": "why"}
    assert json.loads(event.body("j1", "0", None))["Data"]["WarnCode"] == number


def test_every_recording_that_is_left_out_is_a_warning() -> None:
    events = left_out(plan({}, missing=(("a.mp4", "it is empty"), ("b.mp4", "it is missing"))))
    assert [event.data for event in events] == [
        {"WarnCode": 101, "WarnMsg": "a.mp4 is left out"},
        {"WarnCode": 101, "WarnMsg": "b.mp4 is left out"},
    ]


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (WarnCode.INPUT_DAMAGED, "room/a b.mp4: canary in /srv/x", "room/a b.mp4 is damaged"),
        (WarnCode.INPUT_DAMAGED, "decoding room/a.mp4 canary", "room/a.mp4 is damaged"),
        (WarnCode.INPUT_DAMAGED, "canary", "a recording is damaged"),
        (WarnCode.INPUT_LEFT_OUT, "room/a.mp4 is left out: canary", "room/a.mp4 is left out"),
        (WarnCode.WATERMARK_LEFT_OUT, "the image is damaged: canary", "a watermark image is left out"),
        (WarnCode.STREAMS_BEYOND_LIMIT, "canary", "streams beyond MaxSubscriptions are left out"),
        (WarnCode.SERVICE_WARN_PROCESS_RESTART, "canary", "a process failed, and its work is done again"),
    ],
)
def test_a_warning_tells_its_kind_and_its_recording(code: WarnCode, message: str, told: str) -> None:
    """Not what libraries said, nor where it lies."""
    assert outline(code, message, ["room/a b.mp4", "room/a.mp4", "a"]) == told


def test_the_last_events_of_a_successful_run() -> None:
    files = ["s3://b/j1.mp4"]
    assert [(event.type, event.data) for event in finished(files)] == [
        ("ucloud_mixer_file_infos", {"FileList": files}),
        ("ucloud_upload_status", {"Status": 0, "FileList": files}),
        ("ucloud_mixer_status_update", EXITING),
    ]


def test_the_last_events_of_a_run_whose_output_cannot_be_written() -> None:
    files = ["s3://b/j1.mp4"]
    assert [(event.type, event.data) for event in failed(DestinationError("no space"), files)] == [
        ("ucloud_upload_status", {"Status": 1, "FileList": files}),
        (
            "ucloud_mixer_error",
            {"ErrorCode": 1, "ErrorMsg": "the output cannot be written: the log of the job says why"},
        ),
        ("ucloud_mixer_status_update", INTERRUPT),
    ]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            InputError("the index is not usable JSON: root:canary"),
            1,
            "the index or the recordings cannot be used: the log of the job says why",
        ),
        (StoreError("/canary is down"), 1, "the store of the recordings cannot be used: the log of the job says why"),
        (RenderError("canary"), 1, "composing failed: the log of the job says why"),
        (DestinationError("/canary is full"), 1, "the output cannot be written: the log of the job says why"),
        (
            SpecError(
                Problem("Data.MixerConfig.PositionConfig[3].RtcStreamId", "canary", CODE_NO_STREAM),
                Problem("Data.X", "canary"),
                Problem('Data["canary"]', "canary"),
                Problem("/canary/owt.toml", "canary"),
                Problem("", "canary"),
            ),
            6,
            "the job is not accepted: Data.MixerConfig.PositionConfig[3].RtcStreamId, Data.X (RetCode 6)",
        ),
        (Interrupted("stopped"), 1, "the run was stopped: the log of the job says why"),
        (ValueError("SecretKey=canary"), 1, "an unexpected error: ValueError"),
    ],
)
def test_the_last_events_of_a_failed_run(error: BaseException, code: int, message: str) -> None:
    """No message of an error is sent: it may quote what was read on this machine."""
    assert [(event.type, event.data) for event in failed(error) if event.service == "job.mixer"] == [
        ("ucloud_mixer_error", {"ErrorCode": code, "ErrorMsg": message}),
        ("ucloud_mixer_status_update", INTERRUPT),
    ]


def test_droppable_events_and_events_that_end_a_run() -> None:
    assert {event.type for event in EVERY_KIND if event.droppable} == {
        "ucloud_mixer_stream_update",
        "ucloud_mixer_warning",
    }
    assert [event.data for event in EVERY_KIND if event.ends_run] == [EXITING, INTERRUPT]


def test_any_text_is_encoded_as_ascii_json() -> None:
    event = warning(WarnCode.INPUT_DAMAGED, '会议 "a"\n\ud800')
    assert json.loads(event.body("j1", "0", None))["Data"] == event.data
    assert event.body("j1", "0", None).isascii()
