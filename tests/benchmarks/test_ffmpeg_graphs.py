"""FFmpeg's graphs show what the plan shows, where and when it does."""

from __future__ import annotations

import re
from fractions import Fraction

from benchmarks.ffmpeg_graphs import interval_graph, intervals, lead_s, placements, sound_graph, whole_graph
from benchmarks.floor import shown
from owtmix.base.time import TimeRange
from owtmix.jobfile.settings import PlanSettings
from owtmix.media.video_meter import GAP_S
from owtmix.plan.build import make_plan
from owtmix.plan.media_info import Clip
from owtmix.plan.model import RenderPlan
from tests.support.plans import ANNA, BEN, CARL, JOB, both, index_of, picture, room, steady


def _plan(*clips: Clip) -> RenderPlan:
    made = room(*clips)
    return make_plan(JOB, index_of(made), made, PlanSettings())


STEADY = _plan(both(ANNA, 0, 10), both(BEN, 0, 10))
LIVELY = _plan(both(ANNA, 0, 10), both(BEN, "2.34", 8), both(CARL, 4, 6))


def test_a_tile_that_stays_is_one_placement() -> None:
    found = placements(STEADY)
    assert [(p.source, p.rect.x, p.frames) for p in found] == [(0, 0, range(150)), (1, 640, range(150))]


def test_placements_follow_the_layouts_frame_by_frame() -> None:
    assert LIVELY.picture
    assert intervals(LIVELY.picture) == [range(35), range(35, 60), range(60, 90), range(90, 120), range(120, 150)]
    assert [p.frames for p in placements(LIVELY) if p.source == 2] == [range(60, 90)]
    covered = [n for p in placements(LIVELY) if p.source == 1 for n in p.frames]
    assert covered == list(range(35, 120))


def test_steady_tiles_are_stacked() -> None:
    graph = whole_graph(STEADY)
    assert "xstack=inputs=2:layout=0_180|640_180:fill=black,pad=1280:720:0:0:black,trim=end_frame=150[picture]" in graph
    assert "overlay" not in graph
    assert graph.count("scale=640:360") == 2


def test_changing_tiles_are_laid_over_the_canvas_one_after_the_other() -> None:
    graph = whole_graph(LIVELY)
    assert re.findall(r"\[(\w+)\]\[s\d\]overlay", graph) == ["canvas", "o0", "o1"]
    assert "enable='between(n,35,59)+between(n,60,89)+between(n,90,119)'[o1]" in graph
    assert "trim=start_pts=60:end_pts=90" in graph
    # Anna has the whole canvas, then half of it once Ben is there: from half a frame before frame 35 on.
    assert "scale=w='if(lt(t,2.300000),1280," in graph


def test_a_source_is_moved_to_its_place_on_the_timeline() -> None:
    assert "[1:v]settb=AVTB,setpts=PTS+2.306567/TB" in whole_graph(LIVELY)


def test_a_last_frame_is_held_to_the_end_of_its_placement() -> None:
    chain = next(chain for chain in whole_graph(LIVELY).split(";\n") if chain.startswith("[2:v]"))
    assert "fps=15:round=up,tpad=stop_mode=clone:stop=-1,trim=start_pts=60:end_pts=90" in chain


def test_an_input_of_an_interval_begins_with_what_is_on_screen_then() -> None:
    sparse, camera = picture([0, 1, 2, 8, "8.5"]), steady(10)
    for file_s in ("2.5", "7.9", "8"):
        assert Fraction(file_s) - lead_s(sparse, Fraction(file_s)) <= 2
    assert lead_s(sparse, Fraction(9)) > GAP_S
    assert lead_s(camera, Fraction(9)) == Fraction(1, 5)


def test_an_interval_has_an_input_for_each_tile_and_its_own_length() -> None:
    graph = interval_graph(LIVELY, range(60, 90), [Fraction(1, 5), Fraction(1, 5), Fraction(0)])
    assert "[2:v]settb=AVTB,setpts=PTS-0.033433/TB" in graph
    assert "[0:v]settb=AVTB,setpts=PTS-0.233433/TB" in graph
    assert "xstack=inputs=3" in graph
    assert "trim=end_frame=30[picture]" in graph


def test_every_sound_is_delayed_to_its_place() -> None:
    graph = sound_graph(LIVELY)
    assert [int(ms) for ms in re.findall(r"adelay=(\d+)", graph)] == [0, 2340, 4000]
    assert "amix=inputs=3:normalize=0" in graph


def test_the_floor_decodes_what_is_shown_and_no_more() -> None:
    spans = dict(shown(LIVELY))
    assert spans[0] == TimeRange(Fraction(0), Fraction(10))
    assert spans[2] == TimeRange(Fraction(0), Fraction(2))


def test_the_floor_skips_what_is_hidden_for_long() -> None:
    away = _plan(both(ANNA, 0, 40), both(BEN, 0, 5), both(BEN, 30, 40))
    assert len(dict(shown(away))) == 3
