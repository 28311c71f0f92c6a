"""What chunks and the sound cost, compared with each other."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from owtmix.base.geometry import Size
from owtmix.jobfile.settings import PlanSettings, VideoSettings
from owtmix.plan.build import make_plan
from owtmix.plan.costs import ENCODING_COST, MIXED_SECOND, chunk_costs, mixing_cost
from owtmix.plan.media_info import Clip
from owtmix.plan.model import RenderPlan
from tests.support.plans import ANNA, BEN, JOB, both, heard, index_of, room, seen


def plan_of(*clips: Clip) -> RenderPlan:
    """Chunks of two seconds."""
    found = room(*clips)
    return make_plan(JOB, index_of(found), found, PlanSettings(VideoSettings(chunk_s=Fraction(2))))


def recorded(clip: Clip, size: Size, fps: int) -> Clip:
    assert clip.video
    return replace(clip, video=replace(clip.video, size=size, pictures=int(fps * clip.video.span.duration)))


def test_a_chunk_costs_its_own_pixels_and_those_that_are_decoded_for_it() -> None:
    small, large = Size(320, 180), Size(640, 360)
    plan = plan_of(recorded(seen(ANNA, 0, 10), small, 30), recorded(seen(BEN, 4, 7), large, 20))
    assert plan.picture
    encoded = ENCODING_COST * 2 * plan.picture.clock.fps * plan.picture.canvas.width * plan.picture.canvas.height
    anna, ben = 2 * 30 * 320 * 180, 20 * 640 * 360
    costs = list(chunk_costs(plan).values())
    assert costs == pytest.approx([encoded + anna + seconds * ben for seconds in (0, 0, 2, 1, 0)])


def test_sound_costs_as_much_as_it_is_long_whoever_is_heard() -> None:
    plan = plan_of(both(ANNA, 0, 10), heard(BEN, 2, 8))
    assert mixing_cost(plan) == MIXED_SECOND * (10 + 6)
    assert mixing_cost(replace(plan, sound=None)) == 0
    assert chunk_costs(replace(plan, picture=None)) == {}
