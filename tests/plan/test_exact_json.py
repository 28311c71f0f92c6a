"""A plan that is written exactly is read as it was, whatever is in it."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.colour import Colour
from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.base.time import FrameClock, TimeRange
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import ClockWatermark, ImageWatermark, TextWatermark
from owtmix.plan.build import make_plan
from owtmix.plan.exact_json import plan_from_exact_json, plan_to_exact_json
from owtmix.plan.jumps import Jump
from owtmix.plan.media_info import AudioRun, AudioTrack, Clip, Section, VideoTrack
from owtmix.plan.model import (
    AudioEncoding,
    AudioPlacement,
    FontFile,
    PicturePlan,
    RenderPlan,
    SoundPlan,
    Source,
    VideoEncoding,
)
from owtmix.plan.scenes import Look, Scene
from owtmix.plan.shots import Shot
from owtmix.plan.tiles import Tile
from tests.support.plans import JOB, PATIENT, canvases, index_of, rooms

words: Final = st.text(max_size=8)
fractions: Final = st.fractions(-(10**9), 10**12, max_denominator=10**12)
counts: Final = st.integers(0, 10**7)
numbers: Final = st.integers(0, 70)
streams: Final = st.builds(StreamId, st.text("ab_ß课 ", min_size=1, max_size=5), st.sampled_from([1, 2]))
pairs: Final = st.tuples(words, words)


def tuples(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=least, max_size=3).map(tuple)


spans: Final = st.builds(
    lambda start, length: TimeRange(start, start + length),
    fractions,
    st.fractions(Fraction(1, 10**9), 10**6, max_denominator=10**9),
)
ranges: Final = st.builds(lambda start, length: range(start, start + length), counts, counts)
rects: Final = st.builds(Rect, counts, counts, counts, counts)
matrices: Final = st.sampled_from(["bt601", "bt709"])
sections: Final = tuples(st.builds(Section, counts, st.none() | st.integers(-(2**40), 2**40)))
video_tracks: Final = st.builds(
    VideoTrack, numbers, words, canvases, matrices, spans, fractions, tuples(spans), fractions, sections
)
runs: Final = st.builds(AudioRun, tuples(st.tuples(counts, fractions), least=2))
audio_tracks: Final = st.builds(
    AudioTrack,
    numbers,
    words,
    st.integers(8000, 192_000),
    st.integers(1, 8),
    tuples(runs, least=1),
    st.booleans(),
    counts,
    sections,
)
sources: Final = st.builds(Source, words, streams, st.none() | video_tracks, tuples(audio_tracks))
alphas: Final = st.floats(0, 1)
watermarks: Final = (
    st.builds(ClockWatermark, counts, counts, alphas)
    | st.builds(ImageWatermark, counts, counts, alphas, words | st.just("https://user:key@host/logo.png?signature"))
    | st.builds(TextWatermark, counts, counts, alphas, words)
)
video_encodings: Final = st.builds(
    VideoEncoding, st.sampled_from(["libx264", "libvpx-vp9", "h264_nvenc"]), counts, counts, tuples(pairs)
)
looks: Final = st.builds(Look, st.sampled_from(ResizeMode), tuples(watermarks))
scenes: Final = st.builds(Scene, spans, tuples(st.builds(Tile, streams, rects)), looks)
shots: Final = st.builds(Shot, spans, st.none() | numbers, fractions, fractions, fractions)
pictures: Final = st.builds(
    PicturePlan,
    canvas=canvases,
    clock=st.builds(FrameClock, st.integers(1, 120)),
    frames=counts,
    background=st.builds(Colour, *[st.integers(0, 255)] * 3),
    matrix=matrices,
    scenes=tuples(scenes),
    shots=st.dictionaries(streams, tuples(shots), max_size=3),
    text_px=counts,
    encoding=video_encodings,
    chunks=tuples(ranges),
    device=st.sampled_from(["cpu", "cuda"]),
    spare=st.none() | video_encodings,
    fonts=tuples(st.builds(FontFile, words, numbers, words, words)),
)
sounds: Final = st.builds(
    SoundPlan,
    counts,
    tuples(st.builds(AudioPlacement, numbers, audio_tracks, spans, fractions)),
    st.builds(AudioEncoding, st.sampled_from(["aac", "libopus"]), counts, st.sampled_from([1, 2])),
)
plans: Final = st.builds(
    RenderPlan,
    job_id=words,
    output_key=words,
    container=st.sampled_from(["mp4", "webm"]),
    duration_s=fractions,
    sources=tuples(sources),
    picture=st.none() | pictures,
    sound=st.none() | sounds,
    presence=st.dictionaries(streams, tuples(spans), max_size=3),
    jumps=tuples(st.builds(Jump, fractions, fractions)),
    index_unit=words,
    time_zone=words,
    absent=tuples(streams),
    left_out=tuples(pairs),
    warnings=tuples(words),
    device=words,
    device_why=words,
    title=words,
)
"""Plans of all shapes, most of which no job has."""


def read_again(plan: RenderPlan) -> RenderPlan:
    """The plan after it was text."""
    text = json.dumps(plan_to_exact_json(plan), allow_nan=False)
    return plan_from_exact_json(json.loads(text))


@PATIENT
@given(plan=plans)
def test_any_plan_is_read_as_it_was_written(plan: RenderPlan) -> None:
    read = read_again(plan)
    assert read == plan
    # Equality does not tell 1 from 1.0 or True, nor the order of a mapping.
    assert repr(read) == repr(plan)


@PATIENT
@given(clips=rooms)
def test_the_plan_of_a_room_is_read_as_it_was_written(clips: list[Clip]) -> None:
    plan = make_plan(JOB, index_of(clips), clips, PlanSettings())
    read = read_again(plan)
    assert read == plan
    assert plan_to_exact_json(read) == plan_to_exact_json(plan)


def example() -> RenderPlan:
    """A plan with little in it."""
    look = Look(ResizeMode.FIT, (ClockWatermark(1, 2, 1),))
    scene = Scene(TimeRange(Fraction(0), Fraction(1, 3)), (Tile(StreamId("anna", 1), Rect(0, 0, 2, 2)),), look)
    encoding = VideoEncoding("libx264", 1000, 30, ())
    picture = PicturePlan(
        canvas=Size(2, 2),
        clock=FrameClock(15),
        frames=5,
        background=Colour(0, 0, 0),
        matrix="bt709",
        scenes=(scene,),
        shots={},
        text_px=20,
        encoding=encoding,
        chunks=(range(5),),
    )
    return RenderPlan(
        job_id="room-1",
        output_key="room-1.mp4",
        container="mp4",
        duration_s=Fraction(1, 3),
        sources=(),
        picture=picture,
        sound=None,
        presence={},
        jumps=(),
        index_unit="milliseconds",
        time_zone="UTC",
        absent=(),
        left_out=(),
        warnings=(),
    )


def test_fractions_are_text_and_members_of_a_union_name_their_class() -> None:
    written = plan_to_exact_json(example())
    assert written["duration_s"] == "1/3"
    (mark,) = written["picture"]["scenes"][0]["look"]["watermarks"]
    assert mark == {"is": "ClockWatermark", "x": 1, "y": 2, "alpha": 1, "anchor": "top-left"}
    assert written["picture"]["chunks"] == [[0, 5, 1]]
    assert written["sound"] is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("job_id", 5),
        ("job_id", None),
        ("container", "avi"),
        ("duration_s", "soon"),
        ("sources", 5),
        ("warnings", [5]),
        ("left_out", [["only one"]]),
        ("picture.frames", "5"),
        ("picture.scenes.0.look.resize_mode", 9),
        ("picture.chunks", [[0, 5, 1, 1]]),
        ("picture.scenes", [{"span": {"start": "1", "end": "1"}, "tiles": []}]),
        ("picture.scenes.0.look.watermarks", [{"is": "Path", "x": 1, "y": 2, "alpha": 1}]),
        ("picture.scenes.0.look.watermarks", [{"x": 1, "y": 2, "alpha": 1}]),
        ("picture.encoding", {}),
        ("sound", "none"),
    ],
)
def test_what_is_no_plan_is_refused(path: str, value: object) -> None:
    written = plan_to_exact_json(example())
    *parents, last = path.split(".")
    section: Any = written
    for key in parents:
        section = section[int(key) if key.isdecimal() else key]
    section[last] = value
    with pytest.raises((ValueError, TypeError, KeyError)):
        plan_from_exact_json(written)


def test_a_plan_that_lacks_a_part_is_refused() -> None:
    written = plan_to_exact_json(replace(example(), picture=None))
    for name in written:
        with pytest.raises(KeyError, match=name):
            plan_from_exact_json({key: value for key, value in written.items() if key != name})
