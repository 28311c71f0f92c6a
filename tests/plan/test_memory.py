"""What composing takes, against what it was measured to take, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final, Literal

import pytest

from owtmix.base.errors import CODE_VIDEO_PARAM, SpecError
from owtmix.base.geometry import Rect, Size
from owtmix.base.ids import StreamId
from owtmix.jobfile.settings import LimitSettings, PlanSettings, TextSettings, VideoSettings, X264Preset
from owtmix.jobfile.spec import ClockWatermark, ImageWatermark, Position, VideoSpec, Watermark
from owtmix.plan.buffers import ahead_frames, kept_converters, pool_frames
from owtmix.plan.build import make_plan
from owtmix.plan.memory import picture_memory
from owtmix.plan.model import PicturePlan
from tests.support.plans import JOB, MIXER, SUBSCRIPTION, index_of, room, steady, take

MOST: Final = 2.5
"""How many times what was measured the formula may give."""


def picture(
    size: Size,
    container: Literal["mp4", "webm"] = "mp4",
    preset: X264Preset = "balanced",
    people: int = 1,
    *,
    stacked: bool = False,
    marks: tuple[Watermark, ...] = (),
    images: dict[str, Size] | None = None,
    limit_mib: int = 2**20,
    fps: int = 10,
) -> PicturePlan:
    """A room of ``people``, side by side, or ``stacked``: each has the whole canvas."""
    streams = [StreamId(f"u{number}", 1) for number in range(people)]
    whole = tuple(Position(stream, Rect(0, 0, size.width, size.height), 0) for stream in streams if stacked)
    job = replace(
        JOB,
        video=VideoSpec(size, fps, 2000, "high"),
        container=container,
        mixer=replace(MIXER, positions=whole, watermarks=marks),
        subscription=replace(SUBSCRIPTION, manual=stacked),
    )
    clips = room(*(take(stream, 0, steady(4)) for stream in streams))
    settings = PlanSettings(
        video=VideoSettings(x264_preset=preset), limits=LimitSettings(worker_memory_mib=limit_mib), text=TextSettings()
    )
    plan = make_plan(job, index_of(clips), clips, settings, images=images or {})
    assert plan.picture
    return plan.picture


@pytest.mark.parametrize(
    ("shown", "measured_mib"),
    [
        (picture(Size(8192, 8192)), 3218),
        (picture(Size(4096, 4096), people=4, stacked=True), 986),
        (picture(Size(1920, 1080), people=16, stacked=True), 639),
        (picture(Size(1920, 1080), people=4), 244),
        (picture(Size(1920, 1080), "webm", people=9), 293),
        (picture(Size(4096, 4096), "webm"), 1358),
        (picture(Size(160, 96), people=9), 87),
        (picture(Size(1536, 1536), preset="fast"), 77 + 48),
        (picture(Size(1536, 1536), preset="quality"), 77 + 198),
        (picture(Size(1536, 1536), preset="slow"), 77 + 236),
        (picture(Size(1536, 1536), preset="veryslow"), 77 + 370),
        (picture(Size(1536, 1536), preset="placebo"), 77 + 543),
    ],
    ids=lambda value: f"{value.canvas}" if isinstance(value, PicturePlan) else str(value),
)
def test_what_is_expected_is_at_least_what_was_measured_and_not_many_times_as_much(
    shown: PicturePlan, measured_mib: int
) -> None:
    """Peaks of resident memory of a process that composes and encodes noise, in MiB."""
    expected = picture_memory(shown, {}).total
    assert measured_mib << 20 <= expected <= MOST * (measured_mib << 20)


def test_the_largest_canvas_is_accepted_with_a_clock_by_default() -> None:
    assert picture(Size(8192, 8192), marks=(ClockWatermark(16, 16, 1),), limit_mib=LimitSettings().worker_memory_mib)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": Size(8192, 8192), "container": "webm"}, "composing 8192x8192 as VP9 takes about 5,"),
        ({"size": Size(4096, 4096), "preset": "placebo"}, "choose a smaller Width or Height or raise that limit"),
        (
            {"size": Size(3840, 2160), "people": 32, "stacked": True},
            "fewer or smaller tiles, or ones that overlap less",
        ),
    ],
)
def test_a_picture_that_does_not_fit_is_refused_with_what_to_change(change: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        picture(**change, limit_mib=4096)  # type: ignore[arg-type]
    (problem,) = caught.value.problems
    assert problem.path == "Data.TranscodingConfig.Video"
    assert problem.code == CODE_VIDEO_PARAM
    assert said in problem.message
    assert "more than limits.worker_memory_mib in conf/owt.toml, which is 4,096 MiB" in problem.message


def test_watermarks_count_by_what_is_seen_of_them_and_equal_ones_once() -> None:
    logo, sizes = ImageWatermark(0, 0, 1.0, "logo.png"), {"logo.png": Size(4000, 4000)}
    size = Size(1920, 1080)

    def bytes_of(*marks: Watermark) -> int:
        return picture_memory(picture(size, marks=marks), sizes).watermarks

    assert bytes_of(logo, logo) == bytes_of(logo) < bytes_of(logo, replace(logo, x=2))
    assert bytes_of(replace(logo, x=1910, y=1070)) == 14 * 100
    assert bytes_of(ImageWatermark(0, 0, 1.0, "missing.png")) == 0
    with pytest.raises(SpecError, match="choose fewer or smaller watermarks or raise"):
        picture(size, marks=tuple(replace(logo, x=2 * n) for n in range(32)), images=sizes, limit_mib=600)


def test_sound_alone_has_no_canvas() -> None:
    clips = room(take(StreamId("anna", 1), 0, steady(4)))
    limits = LimitSettings(worker_memory_mib=256)
    plan = make_plan(replace(JOB, video=None), index_of(clips), clips, PlanSettings(limits=limits))
    assert plan.picture is None


def test_few_frames_a_second_are_looked_ahead_by_no_more_than_a_gop() -> None:
    assert (
        picture_memory(picture(Size(1280, 720), fps=1), {}).canvas < picture_memory(picture(Size(1280, 720)), {}).canvas
    )


@pytest.mark.parametrize(
    ("size", "pool", "ahead", "converters"),
    [
        (Size(1920, 1080), 6, 8, 2),
        (Size(3840, 2160), 6, 2, 2),
        (Size(4096, 4096), 3, 1, 1),
        (Size(8192, 8192), 3, 1, 1),
        (Size(16, 16), 6, 8, 2),
    ],
)
def test_large_canvases_hold_fewer_frames(size: Size, pool: int, ahead: int, converters: int) -> None:
    assert (pool_frames(size), ahead_frames(size), kept_converters(size)) == (pool, ahead, converters)


def test_the_clock_of_a_plan_does_not_matter() -> None:
    """Neither does the length: nothing grows with it."""
    short = picture(Size(640, 360))
    long = replace(short, frames=short.frames * 100, scenes=tuple(short.scenes) * 100)
    assert picture_memory(long, {}) == picture_memory(short, {})
    assert short.clock.time(short.frames) == Fraction(4)
