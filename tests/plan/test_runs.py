"""A picture is composed in fewer runs than there are workers where finding the way into recordings costs too much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from owtmix.base.geometry import Size
from owtmix.plan.media_info import Clip
from owtmix.plan.model import RenderPlan
from owtmix.plan.runs import best_runs
from tests.plan.test_decoder_budget import plan_of
from tests.support.plans import ANNA, BEN, seen

LENGTH_S = 240
HD = Size(1280, 720)


def recorded(clip: Clip, key_frames: int) -> Clip:
    """The clip, of 30 large pictures a second and so many key frames."""
    assert clip.video
    length_s = clip.video.span.duration
    return replace(clip, video=replace(clip.video, size=HD, pictures=int(30 * length_s), gop_s=length_s / key_frames))


def runs_of(plan: RenderPlan, workers: int) -> int:
    assert plan.picture
    return best_runs(plan.picture, plan.sources, workers)


def two(key_frames: int, start_s: int = 0) -> RenderPlan:
    """A room of two people, the second of whom comes at ``start_s``."""
    clips = (seen(ANNA, 0, LENGTH_S), seen(BEN, start_s, LENGTH_S))
    return plan_of(*(recorded(clip, key_frames) for clip in clips))


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_with_key_frames_every_two_seconds_every_worker_has_a_run(workers: int) -> None:
    assert runs_of(two(LENGTH_S // 2), workers) == workers


@pytest.mark.parametrize("workers", [1, 2])
def test_what_has_one_key_frame_is_decoded_once(workers: int) -> None:
    assert runs_of(two(1), workers) == 1


def test_many_workers_make_up_for_decoding_some_of_it_twice() -> None:
    """One run cannot encode faster than one processor does."""
    assert 1 < runs_of(two(1), 64) < 64


def test_a_run_that_begins_where_the_recordings_do_costs_nothing() -> None:
    """Anna is gone when Ben comes, in the middle."""
    halves = (seen(ANNA, 0, LENGTH_S // 2), seen(BEN, LENGTH_S // 2, LENGTH_S))
    assert runs_of(plan_of(*(recorded(clip, 1) for clip in halves)), 2) == 2


def test_a_picture_of_one_chunk_is_one_run() -> None:
    plan = plan_of(recorded(seen(ANNA, 0, 4), 1))
    assert plan.picture
    assert len(plan.picture.chunks) == 1
    assert runs_of(plan, 8) == 1
