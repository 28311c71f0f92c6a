"""The job file, key by key (docs/job-file.md): accepted values, problems and warnings."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from time import process_time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.colour import Colour
from owtmix.base.errors import CODE_AUDIO_PARAM, CODE_FAILED, CODE_VIDEO_PARAM, SpecError
from owtmix.base.geometry import Anchor, Area, Rect, ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.jobfile.__main__ import schema_text
from owtmix.jobfile.bounds import MAX_JOB_BYTES, MAX_SHOWN
from owtmix.jobfile.job_id import job_id_in
from owtmix.jobfile.reader import read_job
from owtmix.jobfile.spec import (
    ClockWatermark,
    ImageWatermark,
    JobSpec,
    LayoutStyle,
    MediaChannel,
    NotifySpec,
    TextWatermark,
)

REPOSITORY: Final = Path(__file__).parents[2]

SMALLEST: Final[dict[str, Any]] = {
    "Action": "job.start",
    "Internal": {"JobId": "room-1"},
    "Data": {
        "TranscodingConfig": {"Video": {"Width": 1280, "Height": 720}},
        "RecordingConfig": {"StorageConfig": {"Vendor": "local", "Bucket": "."}},
    },
}
STORAGE: Final = "Data.RecordingConfig.StorageConfig"
VIDEO: Final = "Data.TranscodingConfig.Video"
AUDIO: Final = "Data.TranscodingConfig.Audio"
MIXER: Final = "Data.MixerConfig"
SUBSCRIBE: Final = "Data.SubscribeConfig"
TILE: Final = {"Id": "1", "Shape": "rectangle", "Area": {"Left": "0", "Top": "0", "Width": "1", "Height": "1"}}


def with_values(values: dict[str, Any]) -> dict[str, Any]:
    """The smallest job with ``values`` set at their dotted paths."""
    document = deepcopy(SMALLEST)
    for path, value in values.items():
        *parents, last = path.split(".")
        node = document
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = value
    return document


def job(values: dict[str, Any] | None = None) -> JobSpec:
    return read_job(json.dumps(with_values(values or {})).encode())


def problems(values: dict[str, Any]) -> dict[str, int]:
    """Path and code of each problem of the smallest job with ``values``."""
    with pytest.raises(SpecError) as refusal:
        job(values)
    return {problem.path: problem.code for problem in refusal.value.problems}


def refusal_of(text: bytes | str) -> str:
    with pytest.raises(SpecError) as refusal:
        read_job(text if isinstance(text, bytes) else text.encode())
    return str(refusal.value)


def warned(values: dict[str, Any]) -> dict[str, str]:
    return {warning.path: warning.message for warning in job(values).warnings}


def test_smallest_job_gets_every_default() -> None:
    spec = job()
    assert spec.job_id == "room-1"
    assert (spec.room_id, spec.app_id, spec.key_stream, spec.index_key) == ("", "", None, None)
    assert spec.idle_time_s == 60
    assert spec.video
    assert (spec.video.size, spec.video.fps, spec.video.bit_rate_kbps) == (Size(1280, 720), 15, 1000)
    assert spec.video.profile == "high"
    assert spec.audio
    assert (spec.audio.codec, spec.audio.channels, spec.audio.bit_rate_kbps) == ("aac", 2, 128)
    assert spec.mixer.background == Colour(0, 0, 0)
    assert (spec.mixer.resize_mode, spec.mixer.layout) == (ResizeMode.FIT, LayoutStyle.TILE)
    assert (spec.mixer.templates, spec.mixer.positions, spec.mixer.watermarks) == ((), (), ())
    assert (spec.subscription.manual, spec.subscription.max_streams) == (False, 32)
    assert spec.subscription.audio.admits(StreamId("alice", 1))
    assert (spec.channel, spec.container) == (MediaChannel.BOTH, "mp4")
    assert spec.output_key == "room-1.mp4"
    assert spec.input == spec.output
    assert (spec.notify, spec.warnings) == ((), ())


def test_shipped_job_is_clean_and_complete() -> None:
    spec = read_job((REPOSITORY / "mixer" / "cfg.json").read_bytes())
    assert (spec.job_id, spec.output_key, spec.warnings) == ("sample-room", "out/sample-room.mp4", ())
    assert [type(mark) for mark in spec.mixer.watermarks] == [ClockWatermark, TextWatermark]


def test_json_schema_is_current() -> None:
    assert (REPOSITORY / "conf" / "cfg.schema.json").read_text(encoding="utf-8") == schema_text()


ACCEPTED: Final[list[tuple[str, Any, Callable[[JobSpec], Any], Any]]] = [
    ("Internal.JobId", "a" * 128, lambda j: j.job_id, "a" * 128),
    ("Internal.JobId", "-_.9", lambda j: j.job_id, "-_.9"),
    ("Internal.Mode", 1, lambda j: j.job_id, "room-1"),
    ("Internal.RoomId", "房间", lambda j: j.room_id, "房间"),
    ("Data.JobConfig.IdleTime", 0, lambda j: j.idle_time_s, 0),
    ("Data.JobConfig.IdleTime", 0.1, lambda j: j.idle_time_s, Fraction(1, 10)),
    ("Data.JobConfig.IdleTime", 86400, lambda j: j.idle_time_s, 86400),
    ("Data.JobConfig.KeyStream", "", lambda j: j.key_stream, None),
    ("Data.JobConfig.KeyStream", "a_b_2", lambda j: j.key_stream, StreamId("a_b", 2)),
    ("Data.JobConfig.KeyStream", "王小明_1", lambda j: j.key_stream, StreamId("王小明", 1)),
    (f"{VIDEO}.Fps", 120, lambda j: j.video and j.video.fps, 120),
    (f"{VIDEO}.BitRate", 200_000, lambda j: j.video and j.video.bit_rate_kbps, 200_000),
    ("Data.TranscodingConfig.Bitrate", 777, lambda j: j.video and j.video.bit_rate_kbps, 777),
    (f"{VIDEO}.Profile", "baseline", lambda j: j.video and j.video.profile, "baseline"),
    (f"{VIDEO}.Profile", "highprofile", lambda j: j.video and j.video.profile, "high"),
    (f"{AUDIO}.Codec", "aac_48000_1", lambda j: j.audio and j.audio.channels, 1),
    (f"{AUDIO}.Codec", "aac_48000_2", lambda j: j.audio and j.audio.channels, 2),
    (f"{AUDIO}.BitRate", 512, lambda j: j.audio and j.audio.bit_rate_kbps, 512),
    (f"{MIXER}.MaxResolutionStream", "bob_2", lambda j: j.mixer.max_resolution_stream, StreamId("bob", 2)),
    (f"{MIXER}.BackgroundColor", {"G": 255}, lambda j: j.mixer.background, Colour(0, 255, 0)),
    (f"{MIXER}.ResizeMode", 0, lambda j: j.mixer.resize_mode, ResizeMode.STRETCH),
    (f"{MIXER}.MixedVideoLayout", 5, lambda j: j.mixer.layout, LayoutStyle.VERTICAL2),
    (f"{MIXER}.FollowSpeaker", True, lambda j: (j.mixer.follow_speaker, j.mixer.listens), (True, True)),
    (f"{MIXER}.SpeakerBorder", True, lambda j: (j.mixer.speaker_border, j.mixer.listens), (True, True)),
    (f"{MIXER}.ScreenFirst", True, lambda j: (j.mixer.screen_first, j.mixer.listens), (True, False)),
    (f"{MIXER}.ShowAudioOnly", True, lambda j: (j.mixer.audio_only, j.mixer.listens), (True, False)),
    (f"{MIXER}.PageSize", 49, lambda j: (j.mixer.page_size, j.mixer.page_s), (49, Fraction(10))),
    (f"{MIXER}.PageSeconds", 2.5, lambda j: j.mixer.page_s, Fraction(5, 2)),
    (f"{MIXER}.CornerRadius", 7, lambda j: j.mixer.corner_px, 7),
    (f"{MIXER}.Gap", 5, lambda j: j.mixer.gap_px, 6),
    (f"{MIXER}.Transition", 0.4, lambda j: j.mixer.transition_s, Fraction(2, 5)),
    (f"{SUBSCRIBE}.MaxSubscriptions", 64, lambda j: j.subscription.max_streams, 64),
    (f"{SUBSCRIBE}.SubscribeAudio", ["", "a_1"], lambda j: j.subscription.audio.only, {StreamId("a", 1)}),
    (f"{SUBSCRIBE}.SubscribeVideo", ["", ""], lambda j: j.subscription.video.only, None),
    (f"{SUBSCRIBE}.UnsubscribeVideo", ["a_2"], lambda j: j.subscription.video.without, {StreamId("a", 2)}),
    ("Data.RecordingConfig.FileType", ["webm"], lambda j: (j.container, j.output_key), ("webm", "room-1.webm")),
    ("Data.RecordingConfig.FileType", ["webm"], lambda j: j.audio and j.audio.codec, "opus"),
    ("Data.RecordingConfig.MediaChannel", 2, lambda j: j.audio, None),
    ("Data.RecordingConfig.MediaChannel", 1, lambda j: j.video, None),
    ("Data.InputConfig.Index", "/rooms/$JobId.json", lambda j: j.index_key, "rooms/room-1.json"),
    ("Token", None, lambda j: j.job_id, "room-1"),
    ("$schema", "../conf/cfg.schema.json", lambda j: j.warnings, ()),
]


@pytest.mark.parametrize(("path", "value", "read", "expected"), ACCEPTED)
def test_value_is_accepted(path: str, value: object, read: Callable[[JobSpec], Any], expected: object) -> None:
    assert read(job({path: value})) == expected


REFUSED: Final[list[tuple[str, Any, int]]] = [
    ("Action", None, CODE_FAILED),
    ("Action", "job.stop", CODE_FAILED),
    ("Internal.Mode", 0, CODE_FAILED),
    ("Internal.JobId", None, CODE_FAILED),
    ("Internal.JobId", "", CODE_FAILED),
    ("Internal.JobId", ".hidden", CODE_FAILED),
    ("Internal.JobId", "a/b", CODE_FAILED),
    ("Internal.JobId", "a\n", CODE_FAILED),
    ("Internal.JobId", "a" * 129, CODE_FAILED),
    ("Internal.RoomId", 123, CODE_FAILED),
    ("Internal.ChannelType", 2, CODE_FAILED),
    ("Data.JobConfig.IdleTime", -1, CODE_FAILED),
    ("Data.JobConfig.IdleTime", 86400.5, CODE_FAILED),
    ("Data.JobConfig.IdleTime", "60", CODE_FAILED),
    ("Data.JobConfig.IdleTime", True, CODE_FAILED),
    ("Data.JobConfig.KeyStream", "bob", CODE_FAILED),
    ("Data.JobConfig.KeyStream", "bob_3", CODE_FAILED),
    ("Data.JobConfig.KeyStream", "_1", CODE_FAILED),
    ("Data.JobConfig.KeyStream", "b\u0007ob_1", CODE_FAILED),
    (VIDEO, [], CODE_VIDEO_PARAM),
    (f"{VIDEO}.Codec", "h265", CODE_VIDEO_PARAM),
    (f"{VIDEO}.Width", None, CODE_VIDEO_PARAM),
    (f"{VIDEO}.Width", 1281, CODE_VIDEO_PARAM),
    (f"{VIDEO}.Width", 14, CODE_VIDEO_PARAM),
    (f"{VIDEO}.Height", 8194, CODE_VIDEO_PARAM),
    (f"{VIDEO}.Height", "720", CODE_VIDEO_PARAM),
    (f"{VIDEO}.Fps", 0, CODE_VIDEO_PARAM),
    (f"{VIDEO}.Fps", 121, CODE_VIDEO_PARAM),
    (f"{VIDEO}.Fps", 29.97, CODE_VIDEO_PARAM),
    (f"{VIDEO}.BitRate", 15, CODE_VIDEO_PARAM),
    ("Data.TranscodingConfig.Bitrate", 200_001, CODE_VIDEO_PARAM),
    (f"{VIDEO}.Profile", "High", CODE_VIDEO_PARAM),
    (f"{AUDIO}.Codec", "mp3", CODE_AUDIO_PARAM),
    (f"{AUDIO}.Codec", "aac_44100_2", CODE_AUDIO_PARAM),
    (f"{AUDIO}.Codec", "aac_48000_3", CODE_AUDIO_PARAM),
    (f"{AUDIO}.Codec", "opus", CODE_AUDIO_PARAM),
    (f"{AUDIO}.SampleRate", 44_100, CODE_AUDIO_PARAM),
    (f"{AUDIO}.BitRate", 513, CODE_AUDIO_PARAM),
    (f"{MIXER}.MaxResolutionStream", "bob", CODE_VIDEO_PARAM),
    (f"{MIXER}.BackgroundColor.R", 256, CODE_VIDEO_PARAM),
    (f"{MIXER}.ResizeMode", 3, CODE_VIDEO_PARAM),
    (f"{MIXER}.ResizeMode", True, CODE_VIDEO_PARAM),
    (f"{MIXER}.ResizeMode", [1], CODE_VIDEO_PARAM),
    (f"{MIXER}.MixedVideoLayout", 6, CODE_VIDEO_PARAM),
    (f"{MIXER}.FollowSpeaker", 1, CODE_VIDEO_PARAM),
    (f"{MIXER}.PageSize", 50, CODE_VIDEO_PARAM),
    (f"{MIXER}.PageSeconds", 0.5, CODE_VIDEO_PARAM),
    (f"{MIXER}.CornerRadius", -1, CODE_VIDEO_PARAM),
    (f"{MIXER}.Gap", 257, CODE_VIDEO_PARAM),
    (f"{MIXER}.Transition", 1.1, CODE_VIDEO_PARAM),
    (f"{MIXER}.MixedVideoLayout", [], CODE_VIDEO_PARAM),
    (f"{SUBSCRIBE}.VideoStreamType", 2, CODE_VIDEO_PARAM),
    (f"{SUBSCRIBE}.MaxSubscriptions", 65, CODE_FAILED),
    (f"{SUBSCRIBE}.SubscribeAudio", "a_1", CODE_FAILED),
    ("Data.RecordingConfig.MediaChannel", 0, CODE_FAILED),
    ("Data.RecordingConfig.FileType", [], CODE_FAILED),
    ("Data.RecordingConfig.FileType", "mp4", CODE_FAILED),
    (f"{STORAGE}.Vendor", "aws", CODE_FAILED),
    (f"{STORAGE}.Bucket", None, CODE_FAILED),
    (f"{STORAGE}.Bucket", "", CODE_FAILED),
    (f"{STORAGE}.FileNamePrefix", "a/../b", CODE_FAILED),
    (f"{STORAGE}.FileNamePrefix", "a\u0000b", CODE_FAILED),
    (f"{STORAGE}.FileNamePrefix", "界" * 341, CODE_FAILED),
    (f"{STORAGE}.FileNamePrefix", "$RoomId/out", CODE_FAILED),
    ("Data.InputConfig.Index", "../index.json", CODE_FAILED),
    ("Data.NotifyConfig", {}, CODE_FAILED),
]


@pytest.mark.parametrize(("path", "value", "code"), REFUSED)
def test_value_is_refused_at_its_path_with_its_code(path: str, value: object, code: int) -> None:
    assert problems({path: value}) == {path: code}


ROOM: Final = "text; $RoomId in FileNamePrefix, at most 256 characters"
FRAMES_PER_SECOND: Final = "a whole number of frames per second, 1 to 120"


def test_message_says_what_was_found_what_is_accepted_and_what_to_write() -> None:
    with pytest.raises(SpecError) as refusal:
        job({f"{VIDEO}.Fps": "15", "Internal.RoomId": 7, "Data.RecordingConfig.Filetype": [], f"{VIDEO}.Width": 3})
    assert str(refusal.value).splitlines() == [
        "Data.RecordingConfig.Filetype: unknown key; perhaps FileType is meant (RetCode 1)",
        f'Internal.RoomId: found 7 (write "7"); accepted: {ROOM} (RetCode 1)',
        f"{VIDEO}.Width: found 3; accepted: an even number of pixels, 16 to 8192 (RetCode 4)",
        f'{VIDEO}.Fps: found "15" (write 15 without quotes); accepted: {FRAMES_PER_SECOND} (RetCode 4)',
    ]
    assert refusal.value.code == CODE_FAILED


def test_all_problems_are_reported_together_cross_field_ones_too() -> None:
    values = {
        "Internal.JobId": None,
        f"{VIDEO}.Fps": 0,
        f"{AUDIO}.Codec": "opus",
        f"{SUBSCRIBE}.VideoStreamType": 1,
        f"{SUBSCRIBE}.SubscribeAudio": ["a_1"],
        f"{SUBSCRIBE}.UnsubscribeAudio": ["b_1"],
        f"{MIXER}.PositionConfig": [
            {"RtcStreamId": "a_1", "Region": {"X": "0", "Y": 0, "Width": 2, "Height": 2}},
            {"RtcStreamId": "b_1", "Region": {"X": 1000, "Y": 0, "Width": 1000, "Height": 2}},
            {"Region": {"X": 0, "Y": 0, "Width": 0, "Height": 2}},
        ],
        STORAGE: {"Vendor": "s3"},
    }
    assert problems(values) == {
        "Internal.JobId": 1,
        f"{VIDEO}.Fps": 4,
        f"{AUDIO}.Codec": 5,
        f"{SUBSCRIBE}.UnsubscribeAudio": 1,
        f"{MIXER}.PositionConfig[0].Region.X": 4,
        f"{MIXER}.PositionConfig[1].Region.Width": 4,
        f"{MIXER}.PositionConfig[2].RtcStreamId": 4,
        f"{MIXER}.PositionConfig[2].Region.Width": 4,
        f"{STORAGE}.Bucket": 1,
        f"{STORAGE}.Endpoint": 1,
    }


def test_many_problems_take_linear_time() -> None:
    def refusing_s(count: int) -> float:
        text = json.dumps(with_values({f"{SUBSCRIBE}.SubscribeAudio": ["alice"] * count})).encode()
        started = process_time()
        with pytest.raises(SpecError, match=f"and at least {count - MAX_SHOWN:,} more problems") as refusal:
            read_job(text)
        assert len(refusal.value.problems) == MAX_SHOWN + 1
        return process_time() - started

    few, many = (min(refusing_s(count) for _ in range(3)) for count in (600, 9600))
    assert many < 64 * few, "sixteen times as many; their square is 256"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["1", "1/", "1 ", " ", "\t", "\n", ",", ", ", "a", ".", "-", "Token", "\u0301", "房"])
def test_as_much_as_is_accepted_before_a_syntax_error_takes_linear_time(text: str) -> None:
    count = (MAX_JOB_BYTES - 32) // len(text.encode())
    started = process_time()
    for opening in ('{"Data": "', '{"Data": ', ""):
        with pytest.raises(SpecError, match="not usable JSON"):
            read_job((opening + text * count + '" x}').encode())
    assert process_time() - started < 3 * 2, "at most 2 s each; a square of it takes hours"


def test_null_counts_as_missing() -> None:
    assert job({"Data.MixerConfig": None, f"{VIDEO}.Fps": None}) == job()


def test_unknown_keys_get_one_warning_each_with_a_guess() -> None:
    assert warned({f"{VIDEO}.Fsp": 3, "": "", "Data.MixerConfig.a.b": 1}) == {
        '[""]': "unknown key, ignored",
        f"{VIDEO}.Fsp": "unknown key, ignored; perhaps Fps is meant",
        f"{MIXER}.a": "unknown key, ignored",
    }


def test_misspelt_required_key_is_recognised() -> None:
    message = refusal_of(json.dumps(with_values({f"{STORAGE}.Bucket": None, f"{STORAGE}.Buket": "x"})))
    assert 'perhaps "Buket" is meant for it' in message


def test_live_parts_are_named_in_one_warning() -> None:
    live = {"Data.LiveConfig": {"Type": "rtmp"}, "Data.StreamConfig": [{}]}
    assert warned(live) == {"Data": "LiveConfig and StreamConfig: not used by an offline mix"}


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({f"{VIDEO}.Profile": "highprodile"}, f"{VIDEO}.Profile"),
        ({f"{VIDEO}.BitRate": 500, "Data.TranscodingConfig.Bitrate": 600}, "Data.TranscodingConfig.Bitrate"),
        ({"Data.RecordingConfig.MediaChannel": 2}, "Data.RecordingConfig.MediaChannel"),
        ({"Data.RecordingConfig.FileType": ["webm", "mp4"]}, "Data.RecordingConfig.FileType"),
        ({"Data.RecordingConfig.FileType": ["webm"], f"{AUDIO}.Codec": "aac"}, f"{AUDIO}.Codec"),
    ],
)
def test_values_with_an_unexpected_effect_are_warnings(values: dict[str, Any], path: str) -> None:
    assert list(warned(values)) == [path]


def test_sound_alone_needs_no_size() -> None:
    values = {"Data.RecordingConfig.MediaChannel": 1, "Data.TranscodingConfig": None, f"{MIXER}.MixedVideoLayout": 0}
    assert job(values).video is None


@pytest.mark.parametrize(
    ("prefix", "key"),
    [
        ("", "room-1.mp4"),
        ("/data/mp4/$Jobid.mp4", "data/mp4/room-1.mp4"),
        ("data/", "data/room-1.mp4"),
        ("./a//b.webm", "a/b.mp4"),
        ("a.MP4", "a.mp4"),
        ("$JobId-$RoomId-$AppId", "room-1-r.2-app.mp4"),
        ("2026.11", "2026.11.mp4"),
        ("界" * 340, "界" * 340 + ".mp4"),
    ],
)
def test_file_name_prefix_becomes_the_output_key(prefix: str, key: str) -> None:
    values = {f"{STORAGE}.FileNamePrefix": prefix, "Internal.RoomId": "r.2", "Internal.AppId": "app"}
    assert job(values).output_key == key


def test_a_room_id_cannot_lead_out_of_the_store() -> None:
    values = {f"{STORAGE}.FileNamePrefix": "$RoomId/x", "Internal.RoomId": "a/.."}
    assert problems(values) == {f"{STORAGE}.FileNamePrefix": CODE_FAILED}


def test_required_keys_depend_on_the_vendor_and_access_keys_are_optional() -> None:
    assert problems({STORAGE: {"Vendor": "ucloud", "Bucket": "b"}}) == {f"{STORAGE}.Region": 1}
    assert problems({STORAGE: {"Bucket": "b"}}) == {f"{STORAGE}.Vendor": 1}
    assert problems({STORAGE: {"Vendor": "s3", "Bucket": "b"}}) == {f"{STORAGE}.Endpoint": 1}
    store = job({STORAGE: {"Bucket": "b", "Region": "cn-bj", "PublicKey": "p"}}).output
    assert (store.vendor, store.region, store.public_key, store.secret_key) == ("ucloud", "cn-bj", "p", None)


def test_input_may_lie_in_another_store() -> None:
    spec = job({"Data.InputConfig.StorageConfig": {"Vendor": "s3", "Bucket": "in", "Endpoint": "http://host:9000"}})
    assert (spec.input.vendor, spec.input.bucket, spec.output.vendor) == ("s3", "in", "local")
    base = "Data.InputConfig.StorageConfig"
    assert problems({base: {"Vendor": "s3"}}) == {f"{base}.Bucket": 1, f"{base}.Endpoint": 1}


@pytest.mark.parametrize("name", ["LayoutConfig", "Layouts"])
def test_custom_templates(name: str) -> None:
    half = {"Id": "2", "Area": {"Left": "1/2", "Top": "0.25", "Width": "1/2", "Height": "3/4"}}
    spec = job({f"{MIXER}.MixedVideoLayout": 0, f"{MIXER}.{name}": [[TILE], [TILE, half]]})
    whole = Area(Fraction(0), Fraction(0), Fraction(1), Fraction(1))
    right = Area(Fraction(1, 2), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))
    assert spec.mixer.templates == ((whole,), (whole, right))


@pytest.mark.parametrize(
    ("templates", "paths"),
    [
        (None, [""]),
        ([], [""]),
        ([[]], ["[0]"]),
        ([5], ["[0]"]),
        ([[TILE, TILE]], ["[0][1].Id"]),
        ([[TILE], [TILE | {"Shape": "circle"}]], ["[1][0].Shape"]),
        ([[{"Id": "1"}]], ["[0][0].Area"]),
        *(
            ([[{"Id": "1", "Area": TILE["Area"] | {side: value}}]], [f"[0][0].Area.{side}"])  # type: ignore[operator]
            for side, value in [
                ("Left", "1/0"),
                ("Left", "-1/2"),
                ("Left", "3/2"),
                ("Top", 0),
                ("Top", "a"),
                ("Top", "1/2\n"),
                ("Width", "0"),
                ("Height", ""),
            ]
        ),
        ([[{"Id": "1", "Area": {"Left": "1/2", "Top": "0", "Width": "2/3", "Height": "1"}}]], ["[0][0].Area.Width"]),
        ([[{"Id": "1", "Area": {"Left": "0", "Top": "0", "Width": "1/9999", "Height": "1"}}]], ["[0][0].Area"]),
    ],
)
def test_wrong_templates_are_refused(templates: object, paths: list[str]) -> None:
    wrong = problems({f"{MIXER}.MixedVideoLayout": 0, f"{MIXER}.LayoutConfig": templates})
    assert wrong == {f"{MIXER}.LayoutConfig{path}": CODE_VIDEO_PARAM for path in paths}


def test_unused_sections_are_not_validated() -> None:
    assert job({f"{MIXER}.PositionConfig": [{"RtcStreamId": "user_type"}]}).mixer.positions == ()
    assert job({f"{MIXER}.LayoutConfig": [["nonsense"]]}).mixer.templates == ()
    assert job({f"{MIXER}.WaterMark": {"Type": 0, "X": -5, "Image": 7, "Alpha": 9}}).mixer.watermarks == ()


def manual(*regions: dict[str, int], **values: Any) -> dict[str, Any]:
    positions = [{"RtcStreamId": f"u{i}_1", "Region": region} for i, region in enumerate(regions)]
    return {f"{SUBSCRIBE}.VideoStreamType": 1, f"{MIXER}.PositionConfig": positions, **values}


def test_manual_positions() -> None:
    spec = job(manual({"X": 0, "Y": 90, "Z": -2, "Width": 1280, "Height": 630}))
    (position,) = spec.mixer.positions
    assert (position.stream, position.region, position.z) == (StreamId("u0", 1), Rect(0, 90, 1280, 630), -2)


@pytest.mark.parametrize(
    ("odd", "rounded"),
    [
        (Rect(161, 91, 241, 159), Rect(162, 92, 242, 160)),
        (Rect(1, 0, 1279, 720), Rect(2, 0, 1278, 720)),
        (Rect(1279, 719, 1, 1), Rect(1278, 718, 2, 2)),
    ],
)
def test_odd_regions_are_rounded_to_even_with_a_warning(odd: Rect, rounded: Rect) -> None:
    spec = job(manual({"X": odd.x, "Y": odd.y, "Width": odd.width, "Height": odd.height}))
    assert spec.mixer.positions[0].region == rounded
    assert [warning.path for warning in spec.warnings] == [f"{MIXER}.PositionConfig[0].Region"]


@given(st.integers(0, 1279), st.integers(0, 719), st.integers(1, 1280), st.integers(1, 720))
def test_any_region_inside_the_canvas_stays_inside_on_even_edges(x: int, y: int, width: int, height: int) -> None:
    width, height = min(width, 1280 - x), min(height, 720 - y)
    region = job(manual({"X": x, "Y": y, "Width": width, "Height": height})).mixer.positions[0].region
    assert Rect(0, 0, 1280, 720).contains(region)
    assert region.area > 0
    assert not any(edge % 2 for edge in (region.x, region.y, region.width, region.height))


def test_manual_mode_needs_positions_unless_only_sound_is_recorded() -> None:
    assert problems({f"{SUBSCRIBE}.VideoStreamType": 1}) == {f"{MIXER}.PositionConfig": CODE_VIDEO_PARAM}
    assert job({f"{SUBSCRIBE}.VideoStreamType": 1, "Data.RecordingConfig.MediaChannel": 1}).subscription.manual


@pytest.mark.parametrize("key", ["FollowSpeaker", "ScreenFirst", "PageSize", "Gap"])
def test_what_manual_positions_do_not_use_is_a_warning(key: str) -> None:
    value = key in {"FollowSpeaker", "ScreenFirst"} or 4
    placed = manual({"X": 0, "Y": 0, "Width": 64, "Height": 36})
    unused = {f"{MIXER}.{key}": "not used: positions are manual (VideoStreamType 1)"}
    assert warned({f"{MIXER}.{key}": value, **placed}) == unused
    assert not warned({f"{MIXER}.{key}": value})


def test_watermarks_one_or_several() -> None:
    clock = {"Type": 1, "X": 10, "Y": 20, "Image": 5}
    image = {"Type": 2, "Image": "logo.png", "Alpha": 0.5}
    text = {"Type": 3, "Text": "你好"}
    assert job({f"{MIXER}.WaterMark": clock}).mixer.watermarks == (ClockWatermark(10, 20, 1.0),)
    assert job({f"{MIXER}.WaterMark": [clock, image, text, {"Type": 0}]}).mixer.watermarks == (
        ClockWatermark(10, 20, 1.0),
        ImageWatermark(0, 0, 0.5, "logo.png"),
        TextWatermark(0, 0, 1.0, "你好"),
    )
    anchored = [image | {"Anchor": "top-right", "Width": 90}, text | {"Anchor": "bottom-left", "Width": "unused"}]
    assert job({f"{MIXER}.WaterMark": anchored}).mixer.watermarks == (
        ImageWatermark(0, 0, 0.5, "logo.png", Anchor.TOP_RIGHT, 90),
        TextWatermark(0, 0, 1.0, "你好", Anchor.BOTTOM_LEFT),
    )


@pytest.mark.parametrize(
    ("mark", "key"),
    [
        ({}, "Type"),
        ({"Type": 4}, "Type"),
        ({"Type": 1, "X": 1280}, "X"),
        ({"Type": 1, "Y": -1}, "Y"),
        ({"Type": 1, "Alpha": 1.01}, "Alpha"),
        ({"Type": 2, "Image": "ftp://host/logo.png"}, "Image"),
    ],
)
def test_wrong_watermarks_are_refused_where_they_are_written(mark: dict[str, Any], key: str) -> None:
    assert problems({f"{MIXER}.WaterMark": mark}) == {f"{MIXER}.WaterMark.{key}": CODE_VIDEO_PARAM}
    assert problems({f"{MIXER}.WaterMark": [mark]}) == {f"{MIXER}.WaterMark[0].{key}": CODE_VIDEO_PARAM}


def test_a_watermark_that_is_nearly_invisible_or_empty_is_a_warning() -> None:
    assert list(warned({f"{MIXER}.WaterMark": {"Type": 1, "Alpha": 0.19}})) == [f"{MIXER}.WaterMark.Alpha"]
    assert not warned({f"{MIXER}.WaterMark": {"Type": 1, "Alpha": 0.2}})
    assert list(warned({f"{MIXER}.WaterMark": [{"Type": 3, "Text": ""}]})) == [f"{MIXER}.WaterMark[0].Text"]


def test_notifications_that_are_open() -> None:
    entry = {"Status": "open", "ServiceType": "job.mixer", "NotifyUrl": "https://host/cb?x=1", "Token": "secret"}
    spec = job({"Data.NotifyConfig": [entry, entry | {"Status": "close"}]})
    assert spec.notify == (NotifySpec("job.mixer", "https://host/cb?x=1", "secret"),)
    assert "secret" not in repr(spec)


@pytest.mark.parametrize("url", ["", "host/cb", "ftp://host", "http://", "http://h:99999/", "http://h/a b"])
def test_notify_url_must_be_http(url: str) -> None:
    entry = {"Status": "open", "ServiceType": "job.mixer", "NotifyUrl": url}
    assert problems({"Data.NotifyConfig": [entry]}) == {"Data.NotifyConfig[0].NotifyUrl": CODE_FAILED}


SECRET: Final = "s3cr3t-do-not-show"


@pytest.mark.parametrize(
    "document",
    [
        with_values({f"{STORAGE}.SecretKey": [SECRET], f"{STORAGE}.PublicKey": {"a": SECRET}}),
        with_values({"Token": [SECRET], f"{VIDEO}.Fps": 0, f"{STORAGE}.SecretKey": SECRET}),
        with_values({"Data.NotifyConfig": [{"Token": [SECRET]}]}),
        with_values({STORAGE: json.dumps({"SecretKey": SECRET})}),
        with_values({"Data.NotifyConfig": [f"https://example.com/?k={SECRET}"]}),
        with_values({"Data": SECRET}),
        with_values({f"{STORAGE}.secret_key": SECRET, f"{VIDEO}.Fps": 0}),
        with_values({f"{STORAGE}.Endpoint": [f"https://a:{SECRET}@example.com"]}),
        with_values({f"{MIXER}.WaterMark": f"https://example.com/?k={SECRET}"}),
    ],
    ids=["keys", "root token", "notify token", "store", "receiver", "data", "spelling", "endpoint", "watermark"],
)
def test_secrets_are_in_no_message_or_traceback_of_a_wrong_value(document: dict[str, Any]) -> None:
    assert_refused_without_the_secret(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"SecretKey": "{SECRET}",}}',
        f'{{"SecretKey": {SECRET}}}',
        f'{{"SecretKey":\n"a"{SECRET}"}}',
        f'{{"Token": "a"{SECRET}", "Mode": 0/1}}',
        f"{{'PublicKey': '{SECRET}'}}",
        f'{{"PublicKey": "{SECRET}\n}}',
        f'{{"SecretKey": "{SECRET}\\q"}}',
        f'{{"SecretKey": "{SECRET}", "SecretKey": "x"}}',
        f'{{"SecretKey": "{SECRET}", "Depth": {"[" * 65}',
        f'{{"SecretKey": "{SECRET}", "RoomId": "王"}}'.encode("gbk"),
        f'{{"Secret\\u004bey": "{SECRET}",}}',
        f'{{"secret_key": "{SECRET}" 1}}',
        f'{{"PASSWORD": "{SECRET}",}}',
        f"{{SecretKey: {SECRET}}}",
        f'{{"SecretKey"\n:\n"{SECRET}"\n1}}',
        f'{{"SecretKey":\r"{SECRET}"\r1}}',
        f'{{"SecretKey":\u2028"{SECRET}"}}',
        f'\ufeff{{"SecretKey": "{SECRET}",}}',
        f'{{"SecretKey": "{SECRET}",}}'.encode("utf-16"),
        f'{{"SecretKey": "{SECRET}",}}'.encode("utf-32"),
        f'{{"{SECRET}": 1, "{SECRET}": 2}}',
        f'"{SECRET}"',
        f"root:{SECRET}:1",
        f'{{"a": "b", {SECRET}}}',
    ],
)
def test_secrets_are_in_no_message_or_traceback_of_broken_json(text: str | bytes) -> None:
    assert_refused_without_the_secret(text)


def assert_refused_without_the_secret(text: str | bytes) -> None:
    with pytest.raises(SpecError) as refusal:
        read_job(text if isinstance(text, bytes) else text.encode())
    error: BaseException | None = refusal.value
    assert SECRET not in "".join(traceback.format_exception(refusal.value))
    while error:
        assert SECRET not in f"{error} {vars(error)}"
        error = error.__context__


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "Mode": 0/1/2,\n}', "line 2, column 10: numbers with slashes, such as 0/1/2, list the choices"),
        ('{"a": 1,\n}', "line 1, column 8: the comma after the last entry is not JSON; remove it (found: ,)"),
        ('{"a": [1, 2, ]}', "the comma after the last entry"),
        ('{"a": 1 // one\n}', "JSON has no comments"),
        ("{'a': 1}", "double quotes"),
        ('{"a": ...}', "left-out lines"),
        ('{"a": True}', "write true"),
        ('{"a": 1', "the file ends too early"),
        ('{"a": 1 "b": 2}', "a comma is missing"),
        ('{"a": "x\ny"}', "closing quote"),
        ('{"a": 1} {}', "the JSON ends before this"),
        ('{"a": {"b": 1, "\\u0062": 2}}', "line 1, column 16: this key stands twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e1000}', "more digits"),
        ('{"a": ' + "9" * 5000 + "}", "more digits"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": ' + "[" * 64 + "]" * 64 + "}", "deeper than 64"),
        ("[1]", "a JSON object {...} is expected"),
        (" \n", "the file is empty"),
        ('{"a": 1}'.encode("utf-16"), "save it as UTF-8"),
        ('{"a":\n"王"}'.encode("gbk"), "line 2: this is not UTF-8"),
        (b" " * (2**20 + 1), "at most 1,048,576 are accepted"),
    ],
)
def test_broken_json_is_refused_with_line_column_and_what_to_write(text: str | bytes, message: str) -> None:
    assert message in refusal_of(text)


def test_byte_order_mark_is_accepted() -> None:
    assert read_job(json.dumps(SMALLEST).encode("utf-8-sig")) == job()


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0/1.eE-\\ntrue \n', max_size=80).map(str.encode))
def test_random_bytes_are_refused(text: bytes) -> None:
    with pytest.raises(SpecError):
        read_job(text)


VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9000) | st.floats(-1, 2) | st.sampled_from(["", "a_1", "1/2", "mp4"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Type", "Region", "Id", "X"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([path for path, _, _ in REFUSED if path != "Action"]), VALUES, max_size=4))
def test_any_combination_of_values_is_accepted_or_refused(values: dict[str, Any]) -> None:
    parents = {path for path in values if any(other.startswith(f"{path}.") for other in values)}
    document = with_values({path: value for path, value in values.items() if path not in parents})
    try:
        read_job(json.dumps(document).encode())
    except SpecError as refusal:
        assert len({problem.path for problem in refusal.problems}) == len(refusal.problems)  # noqa: PT017


def overridden(**values: str) -> JobSpec:
    return read_job(json.dumps(SMALLEST).encode(), values)


def test_overrides_are_json_or_text_and_create_missing_objects() -> None:
    spec = overridden(
        **{
            "Data.MixerConfig.ResizeMode": "1",
            "Data.MixerConfig.WaterMark[0].Type": "3",
            "Data.MixerConfig.WaterMark[0].Text": "hi",
            "Data.MixerConfig.WaterMark[1]": '{"Type": 1}',
            "Data.JobConfig.IdleTime": "0.1",
        }
    )
    assert spec.mixer.resize_mode is ResizeMode.FILL
    assert spec.mixer.watermarks == (TextWatermark(0, 0, 1.0, "hi"), ClockWatermark(0, 0, 1.0))
    assert spec.idle_time_s == Fraction(1, 10)


def test_override_reaches_into_a_single_watermark() -> None:
    document = with_values({f"{MIXER}.WaterMark": {"Type": 3, "Text": "a"}})
    spec = read_job(json.dumps(document).encode(), {f"{MIXER}.WaterMark[0].Text": '1, "Type": 2'})
    assert spec.mixer.watermarks == (TextWatermark(0, 0, 1.0, '1, "Type": 2'),)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "not a path"),
        (".".join(["a"] * 33), "more than 32 keys deep"),
        ("Data..X", "not a path"),
        ("[0]", "not a path"),
        ("Data.MixerConfig.WaterMark[x]", "not a path"),
        ("Data.MixerConfig.WaterMark[1].Type", "has 0 entries; the next is [0]"),
        ("Internal.JobId.X", "Internal.JobId is not an object"),
        ("Internal.JobId[0]", "Internal.JobId is not a list"),
    ],
)
def test_override_of_a_path_that_cannot_be_set_is_refused(path: str, why: str) -> None:
    with pytest.raises(SpecError) as refusal:
        overridden(**{path: "1", f"{VIDEO}.Fps": "0"})
    assert refusal.value.problems[0].path == path
    assert why in refusal.value.problems[0].message
    assert refusal.value.problems[1].path == f"{VIDEO}.Fps"


def test_wrong_override_is_refused_like_the_same_value_in_the_file() -> None:
    with pytest.raises(SpecError, match="ResizeMode: found 9; accepted: 0"):
        overridden(**{"Data.MixerConfig.ResizeMode": "9"})


@pytest.mark.parametrize(
    ("path", "misspelled", "meant"),
    [("Data", "data", "Data"), (f"{VIDEO}.Fps", "FPS", "Fps"), (f"{STORAGE}.Vendor", "vendor", "Vendor")],
)
def test_a_key_in_other_capitals_is_named_before_what_is_missing_because_of_it(
    path: str, misspelled: str, meant: str
) -> None:
    document = with_values({f"{VIDEO}.Fps": 15})
    *folders, last = path.split(".")
    node = document
    for folder in folders:
        node = node[folder]
    node[misspelled] = node.pop(last)
    document["Internal"]["RoomId"] = 7  # something else that is wrong
    with pytest.raises(SpecError) as refusal:
        read_job(json.dumps(document).encode())
    first = refusal.value.problems[0]
    assert first.path.endswith(misspelled)
    assert first.message == f"unknown key; perhaps {meant} is meant"


def test_sound_alone_may_be_called_m4a() -> None:
    sound = {"Data.RecordingConfig.MediaChannel": 1}
    prefix = f"{STORAGE}.FileNamePrefix"
    assert job({**sound, prefix: "talk.m4a"}).output_key == "talk.m4a"
    assert job({**sound, prefix: "talk"}).output_key == "talk.mp4"
    made = job({**sound, prefix: "talk", "Data.RecordingConfig.FileType": ["m4a"]})
    assert (made.output_key, made.container) == ("talk.m4a", "mp4")
    assert problems({"Data.RecordingConfig.FileType": ["m4a"]}) == {"Data.RecordingConfig.FileType": 1}


def test_an_extension_that_does_not_fit_is_changed_with_a_warning() -> None:
    made = job({f"{STORAGE}.FileNamePrefix": "talk.webm"})
    assert made.output_key == "talk.mp4"
    assert [str(warning) for warning in made.warnings] == [
        f"{STORAGE}.FileNamePrefix: .webm does not fit the file type, and becomes .mp4"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"Internal": {"JobId": "room-7", }', "room-7"),
        (b'{"Internal": {"JobId"  :  "room-7"', "room-7"),
        (b'{"Data": {"NotifyConfig": [{"JobId": "other"}]}, "Internal": {"AppId": "x", "JobId": "room-7"},}', "room-7"),
        (b'{"JobId": "../../etc"}', None),
        (b'{"JobId": 7}', None),
        (rb'{"Internal": {"JobId": "s\u0061me"}}', "same"),
        (rb'{"Intern\u0061l": {"JobId": "room-7"}, "Data": {"JobId": "other"}}', "room-7"),
        (b'{"Internal": {"More": {"JobId": "other", "Deep": {}}, "JobId": "room-7"}}', "room-7"),
        (b'{"Data": {"Internal": {"JobId": "other"}}, "Internal": {"JobId": null}}', None),
        (b'{"JobId": "room-7", "Internal": {"AppId": "x"}}', "room-7"),
        (b"[" * 100_000 + b'"Internal": {"JobId": "room-7"', "room-7"),
        (b"\xff\xfe", None),
        (b'"JobId"' * 100_000, None),
    ],
)
def test_the_job_id_of_a_wrong_file_is_found(text: bytes, expected: str | None) -> None:
    assert job_id_in(text) == expected
