"""What updates make of a room: states, scenes, shots, sound, encoders; and what of them is wrong."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import pytest

from owtmix.base.errors import CODE_FAILED, CODE_VIDEO_PARAM, InputError, SpecError
from owtmix.base.time import TimeRange
from owtmix.cli.plan_text import describe_plan
from owtmix.jobfile.bounds import MAX_SHOWN
from owtmix.jobfile.reader import read_job, with_updates
from owtmix.jobfile.settings import PlanSettings, VideoSettings
from owtmix.jobfile.spec import JobSpec
from owtmix.plan.build import make_plan, with_device
from owtmix.plan.course import course_of
from owtmix.plan.device import RenderDevice
from owtmix.plan.model import PicturePlan, RenderPlan
from owtmix.produce.chunk_key import InputVersions, chunk_key
from tests.support.plans import ANNA, BEN, CARL, both, index_of, room, span

CLIPS: Final = room(both(ANNA, 0, 40), both(BEN, 0, 40), both(CARL, 10, 30))
Update = tuple[int | float | str, str, dict[str, Any]]


def job(*updates: Update, **sections: Any) -> JobSpec:
    document = {
        "Action": "job.start",
        "Internal": {"JobId": "room-1"},
        "Data": {
            "TranscodingConfig": {"Video": {"Width": 1280, "Height": 720, "Fps": 10}},
            "RecordingConfig": {"StorageConfig": {"Vendor": "local", "Bucket": "."}},
            "Updates": [{"At": at, "Action": f"job.{name}", "Data": data} for at, name, data in updates],
            **sections,
        },
    }
    return read_job(json.dumps(document).encode())


def planned(*updates: Update, clips: Any = CLIPS, **sections: Any) -> RenderPlan:
    settings = PlanSettings(VideoSettings(chunk_s=Fraction(4)))
    return make_plan(job(*updates, **sections), index_of(clips), clips, settings)


def picture_of(plan: RenderPlan) -> PicturePlan:
    assert plan.picture
    return plan.picture


def scenes(plan: RenderPlan) -> list[tuple[float, int]]:
    """When each scene begins, and how many tiles it has."""
    return [(float(scene.span.start), len(scene.tiles)) for scene in picture_of(plan).scenes]


def mixer(**keys: Any) -> dict[str, Any]:
    return {"MixerConfig": keys}


def streams(name: str, **keys: bool) -> dict[str, Any]:
    return {"StreamConfig": [{"RtcStreamId": name, **keys}]}


def test_without_updates_nothing_changes() -> None:
    assert planned() == planned(Updates=[])
    assert picture_of(planned()).later == ()


def test_keys_that_stand_in_an_update_replace_those_of_the_job_and_others_stay() -> None:
    text = {"Type": 3, "Text": "hello", "X": 4, "Y": 6}
    plan = planned(
        (5, "mixer.update", mixer(MixedVideoLayout=3)),
        (15, "mixer.update", mixer(WaterMark=text, ResizeMode=0)),
        (20, "mixer.update", mixer(WaterMark={"Type": 0})),
        MixerConfig={"MixedVideoLayout": 2, "ResizeMode": 1},
    )
    assert scenes(plan) == [(0, 2), (5, 1), (15, 1), (20, 1)]
    looks = [scene.look for scene in picture_of(plan).scenes]
    assert [look.resize_mode for look in looks] == [1, 1, 0, 0]
    assert [len(look.watermarks) for look in looks] == [0, 0, 1, 0]


def test_updates_count_in_order_of_their_times_and_then_as_they_stand() -> None:
    plan = planned(
        ("0:00:20.5", "mixer.update", mixer(MixedVideoLayout=1)),
        (12, "mixer.update", mixer(MixedVideoLayout=3)),
        ("00:00:20.5", "mixer.update", mixer(ResizeMode=0)),
        (-0.0, "mixer.update", mixer(MixedVideoLayout=2)),
    )
    assert scenes(plan) == [(0, 2), (10, 3), (12, 1), (20.5, 3), (30, 2)]
    assert picture_of(plan).scenes[-1].look.resize_mode == 0


def test_the_plan_tells_of_each_update_what_it_made() -> None:
    plan = planned(
        (5, "mixer.update", mixer(MixedVideoLayout=3)),
        (6, "stream.update", streams("anna_1", MuteAudio=True)),
        (10, "mixer.update", mixer(MixedVideoLayout=1)),
        (11, "stream.update", streams("anna_1", MuteAudio=False, MuteVideo=True)),
        (12, "transcoding.update", {"TranscodingConfig": {"Video": {"BitRate": 300}}}),
        (13, "transcoding.update", {"TranscodingConfig": {"Video": {"BitRate": 300}}}),
    )
    assert [(float(u.at_s), u.where, u.changes, u.scene) for u in plan.updates] == [
        (5, "Data.Updates[0]", ("mixer",), 1),
        (6, "Data.Updates[1]", ("sounds",), None),
        (10, "Data.Updates[2]", ("mixer",), 2),
        (11, "Data.Updates[3]", ("pictures", "sounds"), None),
        (12, "Data.Updates[4]", ("bit rate",), None),
        (13, "Data.Updates[5]", (), None),
    ]
    text = describe_plan(plan)
    for line in (
        "00:00:05.000  job.mixer.update        Data.Updates[0]  changes mixer             scene 2 of 4 begins",
        "00:00:06.000  job.stream.update       Data.Updates[1]  changes sounds",
        "00:00:11.000  job.stream.update       Data.Updates[3]  changes pictures, sounds",
        "00:00:13.000  job.transcoding.update  Data.Updates[5]  changes nothing",
    ):
        assert line in text


def test_one_before_the_start_counts_at_the_start_and_one_after_the_end_is_named() -> None:
    clips = room(both(ANNA, 100, 140))
    plan = planned((50, "mixer.update", mixer(ResizeMode=0)), (140, "mixer.update", mixer(ResizeMode=1)), clips=clips)
    assert [scene.look.resize_mode for scene in picture_of(plan).scenes] == [0]
    assert "Data.Updates[1]: it comes after the end of the output, and changes nothing" in plan.warnings


def test_a_muted_picture_is_a_placeholder_and_a_muted_sound_silence() -> None:
    plan = planned(
        (4, "stream.update", streams("anna_1", MuteVideo=True, HasAudio=False)),
        (9, "update", streams("anna_1", MuteAudio=True)),
        (12, "update", streams("anna_1")),
    )
    shots = [(shot.span, shot.source) for shot in picture_of(plan).shots[ANNA]]
    assert shots == [(span(0, 4), 0), (span(4, 9), None), (span(9, 40), 0)]
    assert plan.sound
    silent = {placed.source: placed.silent for placed in plan.sound.placements}
    assert silent == {0: (span(4, 12),), 1: (), 2: ()}


def test_an_update_of_a_stream_that_comes_later_holds_when_it_comes() -> None:
    plan = planned((2, "stream.update", streams("carl_1", MuteVideo=True)))
    assert [(shot.span, shot.source) for shot in picture_of(plan).shots[CARL]] == [(span(10, 30), None)]


def test_subscriptions_decide_who_is_in_the_mix() -> None:
    without = {"UnsubscribeVideo": ["anna_1"], "UnsubscribeAudio": ["anna_1"]}
    plan = planned(
        (8, "subscribe.update", {"SubscribeConfig": without}),
        (16, "subscribe.update", {"SubscribeConfig": {"UnsubscribeVideo": []}}),
        (24, "subscribe.update", {"SubscribeConfig": {"UnsubscribeAudio": []}}),
    )
    assert scenes(plan) == [(0, 2), (8, 1), (10, 2), (16, 3), (30, 2)]
    assert plan.presence[ANNA] == (span(0, 8), span(16, 40))
    assert plan.sound
    (anna,) = (placed for placed in plan.sound.placements if placed.source == 0)
    assert anna.silent == (span(8, 24),)


def test_most_subscriptions_count_anew() -> None:
    plan = planned(
        (20, "subscribe.update", {"SubscribeConfig": {"MaxSubscriptions": 3}}), SubscribeConfig={"MaxSubscriptions": 2}
    )
    assert scenes(plan) == [(0, 2), (20, 3), (30, 2)]


def test_the_end_follows_the_presence_of_the_key_stream() -> None:
    away = {"SubscribeConfig": {"UnsubscribeVideo": ["anna_1"], "UnsubscribeAudio": ["anna_1"]}}
    back: dict[str, Any] = {"SubscribeConfig": {"UnsubscribeVideo": [], "UnsubscribeAudio": []}}
    key = {"JobConfig": {"KeyStream": "anna_1", "IdleTime": 5}}
    assert planned((20, "subscribe.update", away), **key).duration_s == 25
    assert planned((20, "subscribe.update", away), (24, "subscribe.update", back), **key).duration_s == 40


def test_a_bit_rate_holds_from_the_next_chunk_on() -> None:
    rate = {"TranscodingConfig": {"Video": {"BitRate": 300, "Fps": 30}}}
    plan = planned((13, "transcoding.update", rate))
    picture = picture_of(plan)
    rates = [(frames.start, picture.encoding_of(frames).bit_rate_kbps) for frames in picture.chunks]
    assert [start for start, kbps in rates if kbps == 1000] == [start for start, _ in rates if start < 130]
    assert {kbps for start, kbps in rates if start >= 130} == {300}
    assert len({dict(picture.encoding_of(frames).options)["level"] for frames in picture.chunks}) == 1
    assert "Data.Updates[0]: a file has one Video.Fps: that of the job" in plan.warnings


@pytest.mark.parametrize("kbps", [300, 1100])
def test_a_bit_rate_changes_only_the_chunks_that_have_it(kbps: int) -> None:
    before, after = planned(), planned((13, "transcoding.update", {"TranscodingConfig": {"Video": {"BitRate": kbps}}}))
    inputs = InputVersions(["a", "b", "c"], {})
    chunks = picture_of(before).chunks
    changed = [frames for frames in chunks if chunk_key(before, frames, inputs) != chunk_key(after, frames, inputs)]
    assert changed == [frames for frames in chunks if frames.start >= 130] != []


def test_a_gpu_encodes_at_the_same_rates_and_its_spare_does() -> None:
    plan = planned((13, "transcoding.update", {"TranscodingConfig": {"Bitrate": 300}}))
    on_gpu = with_device(plan, job(), RenderDevice("a GPU", 0, has_encoder=True))
    (later,) = picture_of(on_gpu).later
    assert (later.encoding.encoder, later.encoding.bit_rate_kbps) == ("h264_nvenc", 300)
    assert picture_of(on_gpu.without_gpu_encoder()).later == picture_of(plan).later


def test_joints_stay_and_only_chunks_that_show_a_change_have_other_keys() -> None:
    logo = {"Type": 2, "Image": "logo.png"}
    before = planned((13, "mixer.update", mixer(ResizeMode=0)))
    after = planned((13, "mixer.update", mixer(ResizeMode=0)), (26, "mixer.update", mixer(WaterMark=logo)))
    chunks = picture_of(before).chunks
    assert picture_of(after).chunks == picture_of(planned()).chunks == chunks
    old, new = InputVersions(["a", "b", "c"], {}), InputVersions(["a", "b", "c"], {"logo.png": "digest"})
    changed = [frames for frames in chunks if chunk_key(before, frames, old) != chunk_key(after, frames, new)]
    assert changed == [frames for frames in chunks if frames.stop > 260]


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        (("soon", "mixer.update", {}), 'Data.Updates[0].At: found "soon"; accepted: a time as in the index'),
        ((1, "mixer.update", mixer(ResizeMode=7)), "Data.Updates[0].Data.MixerConfig.ResizeMode: found 7"),
        (
            (1, "mixer.update", mixer(MixedVideoLayout=0)),
            "Data.Updates[0].Data.MixerConfig.LayoutConfig: MixedVideo",
        ),
        ((1, "subscribe.update", {"SubscribeConfig": {"VideoStreamType": 1}}), "PositionConfig: manual mode"),
        ((1, "stream.update", {"StreamConfig": [{"MuteVideo": True}]}), "Data.StreamConfig[0].RtcStreamId: missing"),
        ((1, "stream.update", {"StreamConfig": [{"RtcStreamId": "a_1", "MuteVideo": 1}]}), "MuteVideo: found 1"),
        ((1, "mixer.update", mixer(WaterMark={"Type": 3, "Text": "a", "X": 5000})), "WaterMark.X: found 5000"),
    ],
)
def test_a_wrong_update_is_reported_with_its_place(update: Update, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned(update)
    (found,) = caught.value.problems
    assert problem in str(found)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (mixer(ResizeMode=7), CODE_VIDEO_PARAM),
        (mixer(WaterMark={"Type": 3, "Text": "a", "X": 5000}), CODE_VIDEO_PARAM),
        ({"TranscodingConfig": {"Video": {"BitRate": 0}}}, CODE_VIDEO_PARAM),
        ({"SubscribeConfig": {"MaxSubscriptions": 0}}, CODE_FAILED),
    ],
)
def test_a_wrong_update_has_the_code_of_its_key(data: dict[str, Any], code: int) -> None:
    with pytest.raises(SpecError) as caught:
        planned((1, "update", data))
    assert [found.code for found in caught.value.problems] == [code]


def test_a_position_of_a_stream_without_recordings_is_wrong() -> None:
    position = {"RtcStreamId": "zoe_1", "Region": {"X": 0, "Y": 0, "Width": 20, "Height": 20}}
    manual = {"SubscribeConfig": {"VideoStreamType": 1}} | mixer(PositionConfig=[position])
    course = course_of(job((5, "update", manual)), index_of(CLIPS))
    with pytest.raises(SpecError, match=r"Data\.Updates\[0\]: Data\..*\.PositionConfig\[0\]\.RtcStreamId: zoe_1"):
        course.check()


def test_what_has_no_effect_is_a_warning() -> None:
    plan = planned(
        (1, "notify.update", {"NotifyConfig": []}),
        (2, "mixer.update", mixer(BackgroundColor={"R": 9}) | {"SubscribeConfig": {}}),
        (3, "stop", {}),
        BackgroundColor={},
    )
    assert {warning for warning in plan.warnings if "Updates" in warning} == {
        "Data.Updates[0]: job.notify.update has no effect on a mix of recordings",
        "Data.Updates[1]: job.mixer.update changes nothing by its SubscribeConfig",
        "Data.Updates[1]: BackgroundColor only counts at the start",
        "Data.Updates[2]: job.stop has no effect on a mix of recordings",
    }
    assert picture_of(plan).background == picture_of(planned()).background


def test_templates_of_the_job_may_be_used_by_an_update() -> None:
    half = {"Left": "0", "Top": "0", "Width": "1/2", "Height": "1"}
    template = [{"Id": "a", "Area": half}]
    plan = planned(
        (5, "mixer.update", mixer(MixedVideoLayout=0)),
        (8, "mixer.update", mixer(ResizeMode=0)),
        MixerConfig={"MixedVideoLayout": 2, "LayoutConfig": [template]},
    )
    assert scenes(plan)[:3] == [(0, 2), (5, 1), (8, 1)]
    assert picture_of(plan).scenes[1].tiles[0].rect.width == 640


def test_a_file_has_an_update_in_each_line() -> None:
    lines = [
        {"At": 5, "Action": "job.mixer.update", "Data": mixer(MixedVideoLayout=3)},
        {"At": 9, "Action": "job.mixer.update", "Data": mixer(MixedVideoLayout=1)},
    ]
    text = "\n\n".join(map(json.dumps, lines)).encode()
    spec = with_updates(job(), text, "room-1.updates.jsonl")
    plan = make_plan(spec, index_of(CLIPS), CLIPS, PlanSettings())
    assert scenes(plan) == [(0, 2), (5, 1), (9, 2), (10, 3), (30, 2)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "room-1.updates.jsonl, line 2: not usable JSON"),
        ("[]", "room-1.updates.jsonl, line 2: not usable JSON"),
        ('{"At": 1, "Action": "job.mixer.update"}', "room-1.updates.jsonl, line 2: Data: missing"),
        (
            '{"At": 1, "Action": "job.mixer.update", "Data": {"MixerConfig": {"ResizeMode": 7}}}',
            "room-1.updates.jsonl, line 2: Data.MixerConfig.ResizeMode: found 7",
        ),
    ],
)
def test_a_wrong_line_is_reported_with_file_and_line(line: str, problem: str) -> None:
    text = f'{{"At": 1, "Action": "job.stop", "Data": {{}}}}\n{line}\n'.encode()
    with pytest.raises(SpecError) as caught:
        with_updates(job(), text, "room-1.updates.jsonl")
    assert problem in str(caught.value)


def test_of_a_file_that_is_all_wrong_the_first_problems_are_told() -> None:
    """And no more are collected: sixteen MiB may have millions of lines."""
    with pytest.raises(SpecError) as caught:
        with_updates(job(), b"{\n" * 90_000, "room-1.updates.jsonl")
    assert len(caught.value.problems) == MAX_SHOWN + 1
    assert str(caught.value.problems[-1]).startswith("and at least 1 more problems")


def test_who_is_subscribed_later_moves_no_joint() -> None:
    plain = planned()
    for at in (21.1, 31.1):
        away = {"SubscribeConfig": {"UnsubscribeVideo": ["carl_1"], "UnsubscribeAudio": ["carl_1"]}}
        back: dict[str, Any] = {"SubscribeConfig": {"UnsubscribeVideo": [], "UnsubscribeAudio": []}}
        changed = planned((at, "subscribe.update", away), (at + 4, "subscribe.update", back))
        assert picture_of(changed).chunks == picture_of(plain).chunks


def test_five_hundred_updates_make_as_many_scenes() -> None:
    updates = [(n / 13, "mixer.update", mixer(MixedVideoLayout=1 + n % 2)) for n in range(1, 501)]
    plan = planned(*updates)
    edges = [scene.span for scene in picture_of(plan).scenes]
    assert len(edges) >= 501
    assert all(a.end == b.start for a, b in pairwise(edges))
    assert TimeRange(edges[0].start, edges[-1].end) == span(0, 40)


def test_a_stream_that_is_not_there_is_told_where_it_begins_to_be_named() -> None:
    spec = job(
        *((n, "mixer.update", mixer(ResizeMode=n % 3)) for n in range(1, 20)),
        (20, "subscribe.update", {"SubscribeConfig": {"UnsubscribeVideo": ["gone_1", "lost_1"]}}),
        (21, "mixer.update", mixer(MaxResolutionStream="far_1")),
        (22, "stream.update", streams("zoe_1", MuteAudio=True)),
        (23, "stream.update", streams("zoe_1", MuteAudio=True)),
        SubscribeConfig={"UnsubscribeVideo": ["gone_1"]},
    )
    assert course_of(spec, index_of(CLIPS)).check() == [
        "Data.SubscribeConfig.UnsubscribeVideo: gone_1 has no recording in the index",
        "Data.Updates[19]: Data.SubscribeConfig.UnsubscribeVideo: lost_1 has no recording in the index",
        "Data.Updates[20]: Data.MixerConfig.MaxResolutionStream: far_1 has no recording in the index",
        "Data.Updates[21]: zoe_1 has no recording in the index",
    ]


def test_streams_that_are_not_there_are_told_up_to_a_hundred() -> None:
    absent = [f"gone{number}_1" for number in range(1000)]
    updates = ((n, "mixer.update", mixer(ResizeMode=n % 3)) for n in range(1, 100))
    found = course_of(job(*updates, SubscribeConfig={"UnsubscribeVideo": absent}), index_of(CLIPS)).check()
    assert len(found) == MAX_SHOWN + 1
    assert found[-1] == "and 900 more of these"


def test_templates_count_under_both_of_their_names() -> None:
    def template(width: str) -> list[list[dict[str, Any]]]:
        return [[{"Id": "a", "Area": {"Left": "0", "Top": "0", "Width": width, "Height": "1"}}]]

    plan = planned(
        (5, "mixer.update", mixer(Layouts=template("1/4"))),
        (8, "mixer.update", mixer(LayoutConfig=template("1"))),
        MixerConfig={"MixedVideoLayout": 0, "LayoutConfig": template("1/2")},
    )
    widths = [scene.tiles[0].rect.width for scene in picture_of(plan).scenes]
    assert list(dict.fromkeys(widths)) == [640, 320, 1280]


@pytest.mark.parametrize(("kind", "key", "most"), [(2, "Image", 64), (3, "Text", 256)])
def test_watermarks_of_all_updates_are_bounded(kind: int, key: str, most: int) -> None:
    def update(number: int) -> Update:
        return number, "mixer.update", mixer(WaterMark=[{"Type": kind, key: f"{number % 300}", "X": 0, "Y": 0}])

    planned(*map(update, range(most)), *map(update, range(most)))
    with pytest.raises(SpecError, match=rf"Updates\[{most}\].Data.MixerConfig.WaterMark: with it.*more than {most}"):
        planned(*map(update, range(most + 1)))


def test_nobody_who_is_there_while_they_are_subscribed_is_an_error() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 60, 85))
    with pytest.raises(InputError, match="nobody is in the room while they are subscribed"):
        planned(
            (40, "subscribe.update", {"SubscribeConfig": {"SubscribeVideo": ["anna_1"], "SubscribeAudio": ["anna_1"]}}),
            clips=clips,
            SubscribeConfig={"SubscribeVideo": ["ben_1"], "SubscribeAudio": ["ben_1"]},
        )
