"""A plan as JSON, for ``--plan=json``."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from fractions import Fraction

from hypothesis import given

from owtmix.base.geometry import Rect, ResizeMode
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import ClockWatermark, TextWatermark
from owtmix.plan.build import make_plan
from owtmix.plan.media_info import Clip
from owtmix.plan.plain_values import json_parts, to_json
from tests.support.plans import ANNA, BEN, JOB, MIXER, PATIENT, SCREEN, both, heard, index_of, room, rooms, span

CLIPS = room(both(ANNA, 0, 10), both(SCREEN, 4, 10), heard(BEN, 0, "1/3"))


def test_plain_values_stay_what_they_are() -> None:
    assert to_json([1, "x", None, True, 0.5]) == [1, "x", None, True, 0.5]


def test_exact_seconds_become_decimals_to_the_microsecond() -> None:
    assert to_json(Fraction(1, 3)) == 0.333333
    assert to_json(span("0.1", 2)) == {"start": 0.1, "end": 2.0}
    assert to_json(Fraction("1700000000.000001")) == 1700000000.000001


def test_streams_are_written_as_in_the_job_file_also_as_keys() -> None:
    assert to_json({SCREEN: (ANNA, None)}) == {"anna_2": ["anna_1", None]}


def test_choices_are_written_as_in_the_job_file() -> None:
    assert to_json(ResizeMode.FIT) == 2


def test_parts_become_objects() -> None:
    assert to_json(Rect(0, 2, 4, 6)) == {"x": 0, "y": 2, "width": 4, "height": 6}


def test_a_plan_has_scenes_shots_and_sources() -> None:
    job = replace(JOB, mixer=replace(MIXER, watermarks=(ClockWatermark(8, 8, 0.5), TextWatermark(0, 0, 1.0, "课"))))
    written = to_json(make_plan(job, index_of(CLIPS), CLIPS, PlanSettings(), [("x.mp4", "it is empty")]))
    assert (written["job_id"], written["output_key"], written["duration_s"]) == ("room-1", "room-1.mp4", 10.0)
    assert written["presence"]["anna_2"] == [{"start": 4.0, "end": 10.0}]
    assert [source["stream"] for source in written["sources"]] == ["anna_1", "anna_2", "ben_1"]
    assert written["left_out"] == [["x.mp4", "it is empty"]]
    drawn = written["picture"]
    assert drawn["canvas"] == {"width": 1280, "height": 720}
    assert [len(scene["tiles"]) for scene in drawn["scenes"]] == [1, 2]
    assert drawn["scenes"][1]["tiles"][1] == {
        "stream": "anna_2",
        "rect": {"x": 640, "y": 180, "width": 640, "height": 360},
        "label": "",
        "is_muted": False,
        "border_px": 0,
    }
    assert drawn["shots"]["anna_2"] == [
        {"span": {"start": 4.0, "end": 10.0}, "source": 1, "offset_s": 4.0, "until_s": 10.0, "from_s": 0.0}
    ]
    assert [mark.get("text") for mark in drawn["scenes"][0]["look"]["watermarks"]] == [None, "课"]
    assert written["sound"]["samples"] == 480_000


@PATIENT
@given(clips=rooms)
def test_every_plan_can_be_written_and_read(clips: list[Clip]) -> None:
    plan = make_plan(JOB, index_of(clips), clips, PlanSettings())
    written = to_json(plan)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert "".join(json_parts(plan)) == json.dumps(written, ensure_ascii=False, indent=2)


def test_of_a_long_plan_only_a_part_is_held_as_json() -> None:
    """A day of pages has gigabytes of it."""
    plan = {SCREEN: [span(second, second + 1) for second in range(40_000)]}
    tracemalloc.start()
    try:
        length = sum(map(len, json_parts(plan)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert length > 2_000_000
    assert peak < 1_000_000
