"""Which recordings a draft decodes without their loop filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import pytest

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.jobfile.settings import PlanSettings, VideoSettings, X264Preset
from owtmix.jobfile.spec import JobSpec, Position
from owtmix.plan.build import make_plan, with_device
from owtmix.plan.device import RenderDevice
from owtmix.plan.loop_filter import LONGEST_GOP_S
from owtmix.plan.media_info import Clip
from owtmix.plan.model import RenderPlan
from tests.support.plans import ANNA, BEN, JOB, MIXER, SUBSCRIPTION, both, index_of, room, seen

DRAFT: Final = PlanSettings(VideoSettings(x264_preset="draft", vp9_cpu_used=2))
A_THIRD: Final = Rect(0, 0, 426, 240)
"""Of a recording in 1280x720, on even edges."""


def filmed(clip: Clip, *, codec: str = "h264", gop_s: int = 10) -> Clip:
    assert clip.video
    return replace(clip, video=replace(clip.video, size=Size(1280, 720), codec=codec, gop_s=Fraction(gop_s)))


def job_with(*places: tuple[StreamId, Rect], mode: ResizeMode = ResizeMode.STRETCH) -> JobSpec:
    positions = tuple(Position(stream, rect, z) for z, (stream, rect) in enumerate(places))
    mixer = replace(MIXER, positions=positions, resize_mode=mode)
    return replace(JOB, mixer=mixer, subscription=replace(SUBSCRIPTION, manual=True))


def draft(job: JobSpec, *clips: Clip, settings: PlanSettings = DRAFT) -> RenderPlan:
    found = room(*clips)
    return make_plan(job, index_of(found), found, settings)


def filters(plan: RenderPlan) -> Sequence[bool]:
    return [source.loop_filter for source in plan.sources]


@pytest.mark.parametrize(
    ("tile", "filtered"),
    [(A_THIRD, False), (Rect(0, 0, 428, 240), True), (Rect(0, 0, 426, 242), True), (Rect(0, 0, 1280, 720), True)],
)
def test_what_is_shown_at_a_third_of_its_sides_is_not_filtered(tile: Rect, *, filtered: bool) -> None:
    assert filters(draft(job_with((ANNA, tile)), filmed(seen(ANNA, 0, 9)))) == [filtered]


@pytest.mark.parametrize(("mode", "filtered"), [(ResizeMode.FIT, False), (ResizeMode.FILL, True)])
def test_the_size_of_the_picture_counts_and_not_that_of_its_tile(mode: ResizeMode, *, filtered: bool) -> None:
    """A tile that is too high gets black bars, or a picture that is cropped."""
    job = job_with((ANNA, Rect(0, 0, 426, 720)), mode=mode)
    assert filters(draft(job, filmed(seen(ANNA, 0, 9)))) == [filtered]


def test_a_recording_that_is_shown_large_once_is_filtered_throughout() -> None:
    """Alone Anna fills the canvas; Ben only comes when four are there."""
    others = [StreamId(name, 1) for name in ("carl", "dora", "emil", "frida", "gus", "hans", "ida", "jan")]
    clips = [filmed(seen(ANNA, 0, 30)), filmed(seen(BEN, 10, 30)), *(filmed(seen(who, 9, 30)) for who in others)]
    assert filters(draft(JOB, *clips))[:2] == [True, False]


@pytest.mark.parametrize(
    ("codec", "gop_s", "filtered"),
    [
        ("vp8", LONGEST_GOP_S, False),
        ("vp8", LONGEST_GOP_S + 1, True),
        ("vp9", 2, True),
        ("av1", 2, True),
        ("hevc", 2, True),
    ],
)
def test_errors_end_soon_with_a_key_frame_in_codecs_that_were_measured(
    codec: str, gop_s: int, *, filtered: bool
) -> None:
    clip = filmed(seen(ANNA, 0, 9), codec=codec, gop_s=gop_s)
    assert filters(draft(job_with((ANNA, A_THIRD)), clip)) == [filtered]


@pytest.mark.parametrize("point", ["fast", "balanced", "quality", "ultrafast"])
def test_only_a_draft_leaves_the_filter_out(point: X264Preset) -> None:
    job, clip = job_with((ANNA, A_THIRD)), filmed(both(ANNA, 0, 9))
    assert filters(draft(job, clip, settings=PlanSettings(VideoSettings(x264_preset=point)))) == [True]
    assert filters(draft(replace(job, video=None), clip)) == [True]


def test_a_gpu_always_filters_and_so_does_the_cpu_in_its_place() -> None:
    plan, job = draft(job_with((ANNA, A_THIRD)), filmed(seen(ANNA, 0, 9))), job_with((ANNA, A_THIRD))
    assert plan.unfiltered == {0}
    assert with_device(plan, job, RenderDevice("--device cpu")).unfiltered == {0}
    assert with_device(plan, job, RenderDevice("it works", 0)).unfiltered == set()


def test_a_draft_in_webm_has_the_fastest_vp9() -> None:
    assert JOB.audio
    job = replace(JOB, container="webm", audio=replace(JOB.audio, codec="opus"))
    plan = draft(job, both(ANNA, 0, 9))
    assert plan.picture
    assert dict(plan.picture.encoding.options)["cpu-used"] == "8"
