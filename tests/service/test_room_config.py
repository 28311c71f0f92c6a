"""How sections of a configuration become others."""

from __future__ import annotations

from typing import Any

from owtmix.jobfile.spec import StorageSpec
from owtmix.service.actions import ACTIONS
from owtmix.service.masking import masked
from owtmix.service.room_config import JobIds, RoomConfig, change_config

IDS = JobIds("j-1", "app", "room")


def changed(action: str, before: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return change_config(before, ACTIONS[action], sections, IDS, no_check).document


def start_config(data: dict[str, Any]) -> RoomConfig:
    return change_config({}, ACTIONS["job.start"], data, IDS, no_check)


def no_check(_: StorageSpec) -> None:
    pass


def test_defaults_are_in_force() -> None:
    found = start_config({}).in_force
    assert found["JobConfig"] == {"IdleTime": 60, "KeyStream": ""}
    assert found["SubscribeConfig"]["MaxSubscriptions"] == 32
    assert found["TranscodingConfig"]["Video"]["Width"] == 1280
    assert found["TranscodingConfig"]["Audio"] == {"Codec": "aac", "SampleRate": 48000, "BitRate": 128}


def test_layouts_have_two_names() -> None:
    area = {"Left": "0", "Top": "0", "Width": "1", "Height": "1"}
    layouts = [[{"Id": "1_1", "Shape": "rectangle", "Area": area}]]
    before = changed("job.start", {}, MixerConfig={"MixedVideoLayout": 0, "LayoutConfig": layouts})
    after = changed("job.mixer.update", before, MixerConfig={"Layouts": layouts})
    assert "LayoutConfig" not in after["MixerConfig"]


def test_a_key_that_is_null_was_not_given() -> None:
    before = changed("job.start", {}, MixerConfig={"Gap": 4})
    after = changed("job.mixer.update", before, MixerConfig={"Gap": None, "ResizeMode": 1})
    assert after["MixerConfig"] == {"Gap": 4, "ResizeMode": 1}


def test_receivers_are_told_apart_by_service_and_address() -> None:
    def receiver(status: str, service: str, token: str = "") -> dict[str, str]:
        return {"Status": status, "ServiceType": service, "NotifyUrl": "http://127.0.0.1/", "Token": token}

    before = changed("job.start", {}, NotifyConfig=[receiver("open", "job.record"), receiver("open", "job.oss")])
    after = changed("job.notify.update", before, NotifyConfig=[receiver("close", "job.record")])
    assert after["NotifyConfig"] == [receiver("close", "job.record"), receiver("open", "job.oss")]


def test_streams_are_told_apart_by_their_ids() -> None:
    one, two = {"RtcStreamId": "a_1", "MuteVideo": True}, {"RtcStreamId": "b_1", "MuteAudio": True}
    before = changed("job.update", changed("job.start", {}), StreamConfig=[one, two])
    after = changed("job.stream.update", before, StreamConfig=[one | {"MuteVideo": False}])
    assert after["StreamConfig"] == [one | {"MuteVideo": False}, two]


def test_a_watermark_is_answered_as_it_was_written() -> None:
    mark = {"Type": 3, "Text": "Hello", "X": 10, "Y": 10, "Alpha": 1}
    for written in (mark, [mark]):
        found = start_config({"MixerConfig": {"WaterMark": written}})
        shown = found.in_force["MixerConfig"]["WaterMark"]
        assert isinstance(shown, type(written))


def test_what_has_no_effect_is_told() -> None:
    found = start_config({"Colour": {}, "MixerConfig": {"Gapp": 1}})
    assert "Data.Colour is ignored" in found.message
    assert "Gapp" in found.message
    assert start_config({}).message == "OK"


def test_secrets_are_masked_wherever_they_stand() -> None:
    shown = masked(
        {
            "StorageConfig": {"PublicKey": "p", "SecretKey": "s", "Bucket": "b", "Endpoint": "https://u:p@h/x"},
            "NotifyConfig": [{"Token": "t", "NotifyUrl": "https://user:pw@h:8/cb?key=1#f"}],
            "LiveConfig": {"Url": "rtmp://h/app/name-1"},
            "Token": "",
        }
    )
    assert shown == {
        "StorageConfig": {"PublicKey": "***", "SecretKey": "***", "Bucket": "b", "Endpoint": "https://***@h/x"},
        "NotifyConfig": [{"Token": "***", "NotifyUrl": "https://***@h:8/cb?***#***"}],
        "LiveConfig": {"Url": "rtmp://h/app/***"},
        "Token": "",
    }
