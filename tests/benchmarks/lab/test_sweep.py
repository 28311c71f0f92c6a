"""The points of the x264 sweep differ in their preset and changes, and in nothing else."""

from __future__ import annotations

from benchmarks.lab.sweep import CHOSEN, POINTS, Point
from benchmarks.results import RESULTS, completed, newest
from owtmix.base.geometry import Size
from owtmix.jobfile.spec import VideoSpec
from owtmix.plan.encoders import h264

VIDEO = VideoSpec(Size(1280, 720), 15, 1000, "high")
COMMON = h264(VIDEO, "veryfast")


def test_what_makes_bytes_repeatable_and_the_rates_stay() -> None:
    made = dict(Point("superfast", {"subme": 2}).encoding(COMMON).options)
    assert made["preset"] == "superfast"
    assert made["maxrate"] == "1500k"
    repeatable = "cpu-independent=1:force-cfr=1:scenecut=0:open-gop=0:stitchable=1:vbv-init=0.5"
    assert made["x264-params"] == f"{repeatable}:subme=2"


def test_a_preset_alone_keeps_its_own_b_frames() -> None:
    assert "bframes" not in dict(Point("veryfast").encoding(COMMON).options)["x264-params"]


def test_a_named_point_is_what_the_tool_takes_for_it() -> None:
    for name in ("draft", "fast", "balanced", "quality"):
        chosen = next(point for point in POINTS if CHOSEN.get(point.name) == name)
        made, taken = (dict(options) for options in (chosen.encoding(COMMON).options, h264(VIDEO, name).options))
        for options in (made, taken):
            options["x264-params"] = ":".join(sorted(options["x264-params"].split(":")))
        assert made == taken


def test_the_documented_sweep_has_every_named_point() -> None:
    path = newest(RESULTS)
    assert path
    assert completed(path)["sweep"]["x264"]["points"].keys() >= CHOSEN.keys()


def test_every_point_has_a_name_of_its_own() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS)
