"""Recordings that are only ever shown much smaller than they are do without their loop filter, all the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest

from owtmix.clip import Clip, VideoTrack
from owtmix.geometry import Size
from owtmix.planning import make_plan
from owtmix.settings import Settings
from owtmix.spec.job import StreamId, VideoSpec
from tests.core.rooms import JOB, index_of, room, steady, take

CANVAS = VideoSpec(Size(1280, 720), fps=15, bit_rate_kbps=1000, profile="high")
SHIPPED = Settings()
LARGE = Size(1920, 1080)


def camera(size: Size = LARGE, length_s: int = 40, gop_s: Fraction = Fraction(10), codec: str = "h264") -> VideoTrack:
    return replace(steady(length_s), size=size, gop_s=gop_s, codec=codec)


def unfiltered(clips: Sequence[Clip], settings: Settings = SHIPPED) -> list[str]:
    """The keys of what is decoded without."""
    clips = room(*clips)
    plan = make_plan(replace(JOB, video=CANVAS), index_of(clips), clips, settings)
    return [source.key for source in plan.sources if not source.loop_filter]


def grid(track: VideoTrack, count: int) -> list[Clip]:
    """So many people beside each other, all with ``track``, in tiles of one size."""
    return [take(StreamId(f"p{n}", 1), 0, track, name=f"p{n}") for n in range(count)]


@pytest.mark.parametrize(("count", "without"), [(1, 0), (2, 0), (4, 0), (9, 9)])
def test_tiles_of_at_most_a_third_need_none(count: int, without: int) -> None:
    """A grid of four has tiles of half of 720p; nine have tiles of 426x240."""
    assert len(unfiltered(grid(camera(Size(1280, 720)), count))) == without


def test_a_third_is_small_and_a_little_more_is_not() -> None:
    """Four people on 720p have 640x360 each."""
    assert len(unfiltered(grid(camera(Size(1920, 1080)), 4))) == 4
    assert unfiltered(grid(camera(Size(1920, 1078)), 4)) == []


def test_a_recording_that_is_large_for_a_moment_is_filtered_throughout() -> None:
    others = grid(camera(), 4)
    alone = take(StreamId("early", 1), -2, camera(length_s=42), name="early")
    assert "early" not in unfiltered([alone, *others])
    assert unfiltered([alone, *others]) == [clip.recording.key for clip in others]


@pytest.mark.parametrize(("gop_s", "without"), [(Fraction(12), 4), (Fraction(12) + Fraction(1, 1000), 0)])
def test_errors_must_not_add_up_for_long(gop_s: Fraction, without: int) -> None:
    assert len(unfiltered(grid(camera(gop_s=gop_s), 4))) == without


@pytest.mark.parametrize(("codec", "without"), [("h264", 4), ("vp8", 4), ("vp9", 0), ("hevc", 0), ("av1", 0)])
def test_only_codecs_that_were_measured_do_without(codec: str, without: int) -> None:
    assert len(unfiltered(grid(camera(codec=codec), 4))) == without


def test_the_filter_may_be_kept_always() -> None:
    assert unfiltered(grid(camera(), 4), Settings(loop_filter="always")) == []
