"""Building a plan: subscription, duration, scenes, shots, sound, encoders and warnings."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.errors import CODE_FAILED, CODE_NO_STREAM, SpecError
from owtmix.base.geometry import Rect, Size
from owtmix.base.ids import StreamId
from owtmix.jobfile.settings import LimitSettings, PlanSettings, TimelineSettings, VideoSettings, X264Preset
from owtmix.jobfile.spec import (
    ClockWatermark,
    JobSpec,
    MediaChannel,
    Position,
    SpecWarning,
    SubscriptionSpec,
    VideoSpec,
)
from owtmix.plan.build import make_plan, with_device, within_gpu_limits
from owtmix.plan.course import course_of
from owtmix.plan.device import RenderDevice
from owtmix.plan.encoders import POINTS
from owtmix.plan.media_info import Clip
from owtmix.plan.model import RenderPlan
from tests.support.plans import (
    ANNA,
    BEN,
    CARL,
    JOB,
    MIXER,
    PATIENT,
    SCREEN,
    SUBSCRIPTION,
    both,
    heard,
    index_of,
    only,
    picture,
    room,
    rooms,
    seen,
    sound,
    span,
    steady,
    take,
    without,
)

SETTINGS: Final = PlanSettings()
VIDEO: Final = VideoSpec(Size(1280, 720), fps=15, bit_rate_kbps=1000, profile="high")
WHOLE: Final = Rect(0, 0, 1280, 720)
ONLY_SOUND: Final = replace(JOB, channel=MediaChannel.AUDIO, video=None)
ONLY_PICTURE: Final = replace(JOB, channel=MediaChannel.VIDEO, audio=None)


def subscribing(subscription: SubscriptionSpec, job: JobSpec = JOB) -> JobSpec:
    return replace(job, subscription=subscription)


def manual(*streams: StreamId) -> JobSpec:
    positions = tuple(Position(stream, WHOLE, 0) for stream in streams)
    job = replace(JOB, mixer=replace(MIXER, positions=positions))
    return subscribing(replace(SUBSCRIPTION, manual=True), job)


def at_rate(fps: int, job: JobSpec = JOB) -> JobSpec:
    return replace(job, video=replace(VIDEO, fps=fps))


def plan_of(job: JobSpec, *clips: Clip, settings: PlanSettings = SETTINGS) -> RenderPlan:
    """The plan of the clips whose streams are in the mix."""
    index = index_of(clips)
    streams, _ = course_of(job, index).streams()
    return make_plan(job, index, room(*(c for c in clips if c.recording.stream in streams)), settings)


def shown(plan: RenderPlan) -> list[list[StreamId]]:
    """The streams in each scene."""
    assert plan.picture
    return [[tile.stream for tile in scene.tiles] for scene in plan.picture.scenes]


def audible(plan: RenderPlan) -> set[StreamId]:
    assert plan.sound
    return {plan.sources[placement.source].stream for placement in plan.sound.placements}


def test_everybody_is_subscribed_by_default() -> None:
    index = index_of([both(ANNA, 0, 9), heard(BEN, 1, 9), seen(SCREEN, 2, 9)])
    streams, beyond = course_of(JOB, index).streams()
    assert streams == {ANNA, BEN, SCREEN}
    assert not beyond


def test_streams_beyond_max_subscriptions_are_left_out_with_a_warning_in_order_of_joining() -> None:
    job = subscribing(replace(SUBSCRIPTION, max_streams=2))
    index = index_of([both(CARL, 5, 9), both(BEN, 1, 2), both(ANNA, 4, 9), both(SCREEN, 8, 9), both(CARL, 0, 1)])
    streams, beyond = course_of(job, index).streams()
    assert streams == {CARL, BEN}
    assert beyond == (ANNA, SCREEN)


def test_streams_that_are_neither_seen_nor_heard_do_not_count_and_are_absent() -> None:
    subscription = replace(SUBSCRIPTION, max_streams=2, audio=only(BEN), video=without(ANNA))
    plan = plan_of(subscribing(subscription), both(ANNA, 0, 9), both(BEN, 3, 9), both(CARL, 4, 9))
    assert list(plan.presence) == [BEN, CARL]
    assert plan.absent == (ANNA,)
    assert plan.presence[BEN] == (span(0, 6),)


def test_white_lists_decide_who_is_seen_and_who_is_heard() -> None:
    subscription = replace(SUBSCRIPTION, audio=only(ANNA), video=only(BEN))
    plan = plan_of(subscribing(subscription), both(ANNA, 0, 9), both(BEN, 0, 9), both(CARL, 0, 9))
    assert (shown(plan), audible(plan), plan.absent) == ([[BEN]], {ANNA}, (CARL,))


def test_black_lists_decide_who_is_not_seen_and_who_is_not_heard() -> None:
    subscription = replace(SUBSCRIPTION, audio=without(ANNA), video=without(BEN))
    plan = plan_of(subscribing(subscription), both(ANNA, 0, 9), both(BEN, 0, 9), both(CARL, 0, 9))
    assert (shown(plan), audible(plan)) == ([[ANNA, CARL]], {BEN, CARL})


def test_media_channel_1_records_sound_alone() -> None:
    plan = plan_of(ONLY_SOUND, both(ANNA, 0, "9.0001"), heard(BEN, 0, 9))
    assert (plan.picture, audible(plan)) == (None, {ANNA, BEN})
    assert plan.duration_s == Fraction("9.0001")
    assert plan.sound
    assert plan.sound.samples == 432_005


def test_media_channel_2_records_the_picture_alone() -> None:
    plan = plan_of(ONLY_PICTURE, both(ANNA, 0, 9), both(BEN, 0, 9))
    assert (plan.sound, shown(plan)) == (None, [[ANNA, BEN]])


@pytest.mark.parametrize(
    ("job", "in_the_mix"), [(ONLY_SOUND, {ANNA}), (ONLY_PICTURE, {BEN}), (JOB, {ANNA, BEN})], ids=["1", "2", "3"]
)
def test_a_list_for_what_is_not_recorded_subscribes_nobody(job: JobSpec, in_the_mix: set[StreamId]) -> None:
    subscription = replace(SUBSCRIPTION, audio=only(ANNA), video=only(BEN))
    index = index_of([both(ANNA, 0, 9), both(BEN, 0, 9)])
    assert course_of(subscribing(subscription, job), index).streams()[0] == in_the_mix


def test_named_streams_without_recordings_are_warnings_with_their_paths() -> None:
    subscription = replace(SUBSCRIPTION, audio=only(ANNA, CARL), video=without(SCREEN))
    job = subscribing(subscription, replace(JOB, mixer=replace(MIXER, max_resolution_stream=BEN)))
    assert course_of(job, index_of([both(ANNA, 0, 9)])).check() == [
        "Data.MixerConfig.MaxResolutionStream: ben_1 has no recording in the index",
        "Data.SubscribeConfig.SubscribeAudio: carl_1 has no recording in the index",
        "Data.SubscribeConfig.UnsubscribeVideo: anna_2 has no recording in the index",
    ]


def test_positions_of_streams_without_recordings_are_error_6_with_their_paths() -> None:
    with pytest.raises(SpecError) as refusal:
        course_of(manual(BEN, ANNA, CARL), index_of([both(SCREEN, 0, 9), both(ANNA, 0, 9)])).check()
    assert [(problem.path, problem.code) for problem in refusal.value.problems] == [
        ("Data.MixerConfig.PositionConfig[0].RtcStreamId", CODE_NO_STREAM),
        ("Data.MixerConfig.PositionConfig[2].RtcStreamId", CODE_NO_STREAM),
    ]
    assert "ben_1 has no recording in the index; it has anna_1, anna_2" in str(refusal.value)


def test_in_automatic_mode_positions_are_ignored_unknown_streams_and_all() -> None:
    automatic = subscribing(SUBSCRIPTION, manual(CARL, CARL))
    index = index_of([both(ANNA, 0, 9)])
    assert course_of(automatic, index).streams()[0] == {ANNA}
    assert not course_of(automatic, index).check()


def test_manual_mode_shows_only_positioned_streams_and_lets_everybody_be_heard() -> None:
    plan = plan_of(manual(BEN), both(ANNA, 0, 9), both(BEN, 0, 9))
    assert (shown(plan), audible(plan)) == ([[BEN]], {ANNA, BEN})


def test_a_stream_without_any_picture_gets_no_tile() -> None:
    plan = plan_of(JOB, heard(ANNA, 0, 9), both(BEN, 0, 9))
    assert (shown(plan), audible(plan)) == ([[BEN]], {ANNA, BEN})


def test_a_stream_whose_picture_comes_later_has_its_tile_from_the_start() -> None:
    plan = plan_of(JOB, heard(ANNA, 0, 9), seen(ANNA, 4, 9))
    assert plan.picture
    assert shown(plan) == [[ANNA]]
    assert [(shot.span, shot.source) for shot in plan.picture.shots[ANNA]] == [(span(0, 4), None), (span(4, 9), 1)]


def test_a_camera_that_pauses_shows_the_placeholder_and_a_still_screen_stays() -> None:
    plan = plan_of(JOB, take(ANNA, 0, picture([0, 5])), take(SCREEN, 0, picture([0, 5])))
    assert plan.picture
    assert [shot.source for shot in plan.picture.shots[ANNA]] == [0, None, 0]
    assert [shot.source for shot in plan.picture.shots[SCREEN]] == [1]


@pytest.mark.parametrize(
    ("end", "fps", "frames"), [("10", 15, 150), ("10.001", 15, 151), ("1/7", 7, 1), ("0.5", 1, 1), ("0.034", 30, 2)]
)
def test_the_output_is_rounded_up_to_a_whole_frame_and_its_sound_is_padded_to_it(
    end: str, fps: int, frames: int
) -> None:
    plan = plan_of(at_rate(fps), both(ANNA, 0, end))
    assert plan.picture
    assert plan.sound
    assert (plan.picture.frames, plan.duration_s) == (frames, Fraction(frames, fps))
    assert Fraction(plan.sound.samples - 1, 48_000) < plan.duration_s <= Fraction(plan.sound.samples, 48_000)


@PATIENT
@given(clips=rooms, fps=st.integers(1, 120))
def test_every_frame_has_a_scene_and_every_tile_a_shot(clips: list[Clip], fps: int) -> None:
    plan = make_plan(at_rate(fps), index_of(clips), clips, SETTINGS)
    assert plan.picture
    for t in map(plan.picture.clock.time, (0, plan.picture.frames // 2, plan.picture.frames - 1)):
        (scene,) = [scene for scene in plan.picture.scenes if t in scene.span]
        for tile in scene.tiles:
            assert [shot for shot in plan.picture.shots[tile.stream] if t in shot.span]


def test_a_plan_above_the_limit_is_refused() -> None:
    with pytest.raises(SpecError) as refusal:
        plan_of(JOB, both(ANNA, 0, 24 * 3600), heard(BEN, 1, 24 * 3600 + 1))
    assert refusal.value.code == CODE_FAILED
    assert str(refusal.value).startswith("the output would last 24:00:01.000, more than the limit of 24:00:00.000")
    assert plan_of(JOB, both(ANNA, 0, 24 * 3600)).duration_s == 24 * 3600
    settings = PlanSettings(limits=LimitSettings(max_duration_s=Fraction(60)))
    with pytest.raises(SpecError):
        plan_of(JOB, both(ANNA, 0, 60), both(BEN, 1, 61), settings=settings)


def test_settings_decide_about_absences_gaps_and_cards() -> None:
    rules = TimelineSettings(
        absence_s=Fraction(5), gap_s=Fraction(1), placeholder_delay_s=Fraction(1, 4), keep_empty_gaps=True
    )
    settings = PlanSettings(timeline=rules)
    clips = take(ANNA, 0, picture([0, 2, "2.5"], end=3)), both(ANNA, 7, 8), both(BEN, 100, 101)
    plan = plan_of(JOB, *clips, settings=settings)
    assert plan.picture
    assert plan.presence == {ANNA: (span(0, 8),), BEN: (span(100, 101),)}
    assert [shot.span for shot in plan.picture.shots[ANNA]] == [span(0, "1/4"), span("1/4", 2), span(2, 7), span(7, 8)]


def test_the_job_decides_about_the_end() -> None:
    job = replace(JOB, key_stream=ANNA, idle_time_s=Fraction("2.5"))
    assert plan_of(at_rate(2, job), both(ANNA, 0, 5), both(BEN, 0, 30)).duration_s == Fraction("7.5")


@pytest.mark.parametrize(
    ("matrices", "chosen"),
    [
        (["bt601", "bt601", "bt709"], "bt601"),
        (["bt601", "bt709", "bt709"], "bt709"),
        (["bt601", "bt709"], "bt709"),
        (["bt601"], "bt601"),
        ([], "bt709"),
    ],
)
def test_the_output_takes_the_matrix_of_most_streams_and_bt709_on_a_tie(matrices: list[str], chosen: str) -> None:
    clips = [
        take(stream, 0, steady(9, matrix="bt601" if matrix == "bt601" else "bt709"))
        for stream, matrix in zip((ANNA, BEN, CARL), matrices, strict=False)
    ]
    plan = plan_of(JOB, heard(SCREEN, 0, 9), *clips)
    assert plan.picture
    assert plan.picture.matrix == chosen


def test_streams_vote_for_the_matrix_not_files_and_only_if_they_are_seen() -> None:
    old = [take(ANNA, start, steady(2, matrix="bt601")) for start in (0, 2, 4)]
    unseen = [take(stream, 0, steady(9, matrix="bt601"), sound(0, 9)) for stream in (CARL, SCREEN)]
    job = subscribing(replace(SUBSCRIPTION, video=only(ANNA, BEN)))
    plan = plan_of(job, *old, seen(BEN, 0, 9), *unseen)
    assert plan.picture
    assert plan.picture.matrix == "bt709"


def test_sound_is_placed_where_the_index_says() -> None:
    plan = plan_of(JOB, both(BEN, 100, 120), take(ANNA, 107, sound("60", "65"), end=110))
    assert plan.sound
    anna = plan.sound.placements[1]
    assert (anna.source, anna.span) == (1, span(7, 10))
    assert 60 + anna.offset_s == 7


def test_the_wall_clock_jumps_where_a_gap_is_cut() -> None:
    clips = room(both(ANNA, 1_700_000_000, 1_700_000_010), both(BEN, 1_700_000_100, 1_700_000_105))
    plan = make_plan(JOB, index_of(clips, "epoch-milliseconds"), clips, SETTINGS)
    moments = [plan.epoch_at(Fraction(t)) for t in ("0", "69.9", "70", "75")]
    assert moments == [1_700_000_000, Fraction("1700000069.9"), 1_700_000_100, 1_700_000_105]


@pytest.mark.parametrize("unit", ["seconds", "milliseconds"])
def test_a_room_with_relative_times_has_no_wall_clock(unit: str) -> None:
    clips = room(both(ANNA, 5, 9))
    plan = make_plan(JOB, index_of(clips, "seconds" if unit == "seconds" else "milliseconds"), clips, SETTINGS)
    assert (plan.epoch_at(Fraction(1)), plan.index_unit) == (None, unit)


def test_a_gpu_that_draws_and_encodes_is_in_the_plan_with_the_spare_encoder() -> None:
    plan = plan_of(JOB, both(ANNA, 0, 9))
    on_cpu = with_device(plan, JOB, RenderDevice("--device cpu"))
    assert (on_cpu.device, on_cpu.device_why, on_cpu.picture) == ("cpu", "--device cpu", plan.picture)
    gpu = RenderDevice("NVIDIA L4 composes and encodes", 1, has_encoder=True)
    on_gpu = with_device(plan, JOB, gpu)
    assert on_gpu.picture
    assert plan.picture
    assert (on_gpu.device, on_gpu.picture.device, on_gpu.picture.encoding.encoder) == (
        "cuda:1",
        "cuda",
        "h264_nvenc",
    )
    assert on_gpu.without_gpu_encoder().picture == replace(plan.picture, device="cuda")
    assert with_device(plan_of(ONLY_SOUND, both(ANNA, 0, 9)), ONLY_SOUND, gpu).device == ""


@pytest.mark.parametrize(("marks", "draws"), [(71, True), (72, False)])
def test_a_picture_with_more_items_than_a_gpu_draws_is_composed_on_the_cpu(marks: int, *, draws: bool) -> None:
    job = replace(JOB, mixer=replace(MIXER, watermarks=(ClockWatermark(0, 0, 1),) * marks))
    gpu = RenderDevice("NVIDIA L4 composes and encodes", 0, has_encoder=True)
    found = within_gpu_limits(plan_of(job, both(ANNA, 0, 9)), gpu)
    why = "a GPU composes 72 tiles, names, borders and watermarks at once, and there are 73"
    assert found == (gpu if draws else RenderDevice(why))


def test_all_warnings_are_in_the_plan() -> None:
    clips = room(both(ANNA, 0, 1), both(BEN, 100, 101))
    index = replace(index_of(clips), warnings=("the index is odd",))
    job = replace(JOB, warnings=(SpecWarning("Data.X", "unknown key, ignored"),))
    plan = make_plan(job, index, clips, SETTINGS, [("carl.mp4", "it is empty")])
    assert plan.warnings[:2] == ("Data.X: unknown key, ignored", "the index is odd")
    assert plan.warnings[2].startswith("nobody was in the room")
    assert plan.left_out == (("carl.mp4", "it is empty"),)


def test_every_encoder_setting_is_in_the_plan() -> None:
    plan = plan_of(at_rate(25), both(ANNA, 0, 9), settings=PlanSettings(VideoSettings(x264_preset="slow")))
    assert plan.picture
    assert plan.sound
    encoding = plan.picture.encoding
    options = dict(encoding.options)
    assert (encoding.encoder, encoding.bit_rate_kbps, encoding.gop) == ("libx264", 1000, 50)
    assert (options["preset"], options["profile"]) == ("slow", "high")
    assert (options["maxrate"], options["bufsize"]) == ("1500k", "1333k")
    assert (plan.sound.encoding.encoder, plan.sound.encoding.channels) == ("aac", 2)


@pytest.mark.parametrize("point", ["draft", "fast", "balanced", "quality"])
def test_a_measured_point_is_a_preset_and_what_is_changed_of_it(point: X264Preset) -> None:
    plan = plan_of(at_rate(25), both(ANNA, 0, 9), settings=PlanSettings(VideoSettings(x264_preset=point)))
    assert plan.picture
    options = dict(plan.picture.encoding.options)
    preset, changes = POINTS[point]
    assert options["preset"] == preset
    assert options["profile"] == "high"
    assert {f"{key}={value}" for key, value in changes.items()} <= set(options["x264-params"].split(":"))


def test_a_webm_file_is_vp9_and_opus() -> None:
    assert JOB.audio
    job = replace(JOB, container="webm", audio=replace(JOB.audio, codec="opus"))
    plan = plan_of(job, both(ANNA, 0, 9))
    assert plan.picture
    assert plan.sound
    assert (plan.picture.encoding.encoder, plan.sound.encoding.encoder) == ("libvpx-vp9", "libopus")
    assert dict(plan.picture.encoding.options)["deadline"] == "realtime"


def test_text_is_a_part_of_the_canvas_height() -> None:
    plan = plan_of(JOB, both(ANNA, 0, 9))
    assert plan.picture
    assert plan.picture.text_px == 30


def test_a_clock_without_an_epoch_is_a_warning() -> None:
    job = replace(JOB, mixer=replace(MIXER, watermarks=(ClockWatermark(0, 0, 1.0),)))
    clips = room(both(ANNA, 0, 9))
    index = index_of(clips)
    said = "the index does not say when the room was: the time watermark shows the time since the start"
    assert said not in make_plan(job, replace(index, unit="epoch-seconds"), clips, SETTINGS).warnings
    assert said in make_plan(job, replace(index, unit="seconds"), clips, SETTINGS).warnings


def test_a_position_of_a_stream_whose_video_is_not_subscribed_is_a_warning() -> None:
    job = subscribing(replace(SUBSCRIPTION, manual=True, video=without(BEN)), manual(ANNA, BEN))
    assert course_of(job, index_of([both(ANNA, 0, 9), both(BEN, 0, 9)])).check() == [
        "Data.MixerConfig.PositionConfig[1]: the video of ben_1 is not subscribed"
    ]


def test_who_is_heard_without_a_picture_is_named() -> None:
    plan = plan_of(JOB, both(ANNA, 0, 5), heard(BEN, 0, 5))
    assert plan.warnings == ("ben_1: heard without a picture, so there is no tile",)
    assert plan_of(replace(JOB, video=None), both(ANNA, 0, 5), heard(BEN, 0, 5)).warnings == ()


def test_a_room_without_any_picture_is_named() -> None:
    (warning,) = plan_of(JOB, heard(ANNA, 0, 5)).warnings
    assert warning.startswith("nobody has a picture")


def test_the_last_frame_shows_the_end_of_the_room() -> None:
    """The room ends early in it, so the middle of its time is later."""
    plan = plan_of(at_rate(2, JOB), both(ANNA, 0, "5.1"))
    assert plan.picture
    assert plan.picture.frames == 11
    assert plan.picture.clock.middle(10) in plan.picture.scenes[-1].span
    assert plan.picture.clock.middle(10) in plan.picture.shots[ANNA][-1].span


def test_all_sound_tracks_of_a_file_are_heard() -> None:
    two = take(ANNA, 0, steady(5), sound(0, 5), replace(sound(0, 4), index=2))
    plan = plan_of(JOB, two)
    assert plan.sound
    assert [(p.source, p.track.index) for p in plan.sound.placements] == [(0, 1), (0, 2)]
