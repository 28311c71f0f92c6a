"""The plan as text."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from owtmix.base.colour import Colour
from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.base.time import FrameClock, TimeRange
from owtmix.cli.plan_text import describe_plan
from owtmix.jobfile.spec import ClockWatermark, TextWatermark
from owtmix.plan.jumps import Jump
from owtmix.plan.media_info import AudioRun, AudioTrack, VideoTrack
from owtmix.plan.model import AudioEncoding, FontFile, PicturePlan, RenderPlan, SoundPlan, Source, VideoEncoding
from owtmix.plan.scenes import Look, Scene
from owtmix.plan.shots import Shot
from owtmix.plan.tiles import Tile
from owtmix.plan.turns import Turn

ANNA, BEN = StreamId("anna", 1), StreamId("小明", 1)


def _range(start: int, end: int) -> TimeRange:
    return TimeRange(Fraction(start), Fraction(end))


SOUND_TRACK = AudioTrack(0, "opus", 48_000, 2, (AudioRun(((0, Fraction(0)), (480_000, Fraction(10)))),))
LOOK = Look(ResizeMode.FIT, (ClockWatermark(10, 20, 0.5), TextWatermark(0, 0, 1.0, "课堂")))
PLAN = RenderPlan(
    job_id="room-7",
    output_key="out/room-7.mp4",
    container="mp4",
    duration_s=Fraction(10),
    sources=(Source("room/anna.webm", ANNA, None, (SOUND_TRACK,)),),
    picture=PicturePlan(
        canvas=Size(1280, 720),
        clock=FrameClock(15),
        frames=150,
        background=Colour(0, 0, 0),
        matrix="bt709",
        scenes=(
            Scene(_range(0, 4), (Tile(ANNA, Rect(0, 0, 1280, 720)),), LOOK),
            Scene(_range(4, 9), (Tile(ANNA, Rect(0, 180, 640, 360)), Tile(BEN, Rect(640, 180, 640, 360))), LOOK),
            Scene(_range(9, 10), (), LOOK),
        ),
        shots={
            ANNA: (Shot(_range(0, 3), 0), Shot(_range(3, 6), None), Shot(_range(6, 9), 0)),
            BEN: (Shot(_range(4, 9), 0),),
        },
        chunks=(range(60), range(60, 150)),
        text_px=30,
        encoding=VideoEncoding("libx264", 1000, 30, ()),
    ),
    sound=SoundPlan(480_000, (), AudioEncoding("aac", 128, 2)),
    confinement=("landlock", "seccomp"),
    presence={ANNA: (_range(0, 9),), BEN: (_range(4, 6), _range(7, 9))},
    jumps=(Jump(Fraction(0), Fraction(0)),),
    absent=(),
    index_unit="epoch-milliseconds",
    time_zone="Asia/Shanghai",
    left_out=(("room/carl.mp4", "it is empty"),),
    warnings=("Data.Extra: unknown",),
)


def test_a_plan_as_text() -> None:
    expected = """\
Job      room-7
Output   out/room-7.mp4: mp4, 00:00:10.000
Picture  1280x720, 15 fps, 150 frames in 2 chunks, libx264 at 1000 kbit/s, bt709
Sound    aac at 128 kbit/s, 48000 Hz, stereo
Confined landlock, seccomp
Index    times read as epoch-milliseconds

Sources
  #  stream  key             picture  sound
  0  anna_1  room/anna.webm  -        opus 48000 Hz stereo

Left out
  room/carl.mp4: it is empty

Present
  anna_1  00:00:00.000 - 00:00:09.000
  小明_1  00:00:04.000 - 00:00:06.000, 00:00:07.000 - 00:00:09.000

Scenes, each from back to front
  00:00:00.000 - 00:00:04.000  1 tile
    anna_1  1280x720+0+0  placeholder 00:00:03.000 - 00:00:04.000
    sources fitted with black bars
    the time at 10,20, opacity 0.5
    the text "课堂" at 0,0, opacity 1
  00:00:04.000 - 00:00:09.000  2 tiles
    anna_1  640x360+0+180    placeholder 00:00:04.000 - 00:00:06.000
    小明_1  640x360+640+180
  00:00:09.000 - 00:00:10.000  nobody is shown

Warnings (1)
  Data.Extra: unknown"""
    assert describe_plan(PLAN) == expected


def test_a_plan_says_what_composes_and_why() -> None:
    on_cpu = describe_plan(replace(PLAN, device="cpu", device_why="--device cpu"))
    assert "\nDevice   decoded and composed on the CPU: --device cpu\nSound " in on_cpu
    on_gpu = describe_plan(replace(PLAN, device="cuda:1", device_why="NVIDIA L4 draws and encodes"))
    assert "\nDevice   decoded where it can, and composed, on cuda:1: NVIDIA L4 draws and encodes\nSound " in on_gpu


def test_a_plan_says_which_recordings_are_decoded_without_their_loop_filter() -> None:
    track = VideoTrack(0, "vp8", Size(1280, 720), "bt709", _range(0, 9), Fraction(8), (), Fraction(2))
    sources = [replace(PLAN.sources[0], video=track, loop_filter=loop_filter) for loop_filter in (True, False)]
    text = describe_plan(replace(PLAN, sources=tuple(sources)))
    assert re.findall("vp8 1280x720, 00:00:09.000(.*?)  +opus", text) == ["", ", without its loop filter"]


def test_names_and_texts_forge_no_line_and_keep_the_columns() -> None:
    source = replace(PLAN.sources[0], key="a\u202e\n\x1b[2K.webm")
    picture = PLAN.picture
    assert picture
    marked = replace(picture.scenes[0], look=Look(watermarks=(TextWatermark(0, 0, 1.0, "a\u2028b"),)))
    picture = replace(picture, scenes=(marked,))
    text = describe_plan(replace(PLAN, sources=(source,), picture=picture, warnings=("x\u2066\ny",)))
    assert all(line.isprintable() for line in text.split("\n"))
    header, row = (line for line in text.splitlines() if "stream" in line or ".webm" in line)
    assert row.index("a\\u202e\\n\\x1b[2K.webm") == header.index("key")
    assert 'the text "a\\u2028b" at 0,0' in text
    assert text.endswith("  x\\u2066\\ny")


def test_speakers_moves_and_looks_are_told() -> None:
    assert PLAN.picture
    tile = Tile(ANNA, Rect(0, 0, 640, 360), "Anna", is_muted=True, border_px=4)
    look = Look(ResizeMode.FIT, (), corner_px=12)
    scene = Scene(_range(0, 10), (tile,), look, (Rect(0, 0, 1280, 720),), Fraction(0), Fraction(1, 2))
    fonts = (FontFile("/fonts/deva.ttf", 0, "", "\u0915\u0e01\u0916"),)
    turns = (Turn(ANNA, Fraction(1), Fraction(3)), Turn(BEN, Fraction(5, 2), Fraction(4)))
    text = describe_plan(replace(PLAN, picture=replace(PLAN.picture, scenes=(scene,), fonts=fonts), speakers=turns))
    assert "Fonts    /fonts/deva.ttf for Devanagari, Thai\n" in text
    assert "1 tile, which move until 00:00:00.500\n    anna_1  640x360+0+0  " in text
    assert '  "Anna", muted, speaks, placeholder 00:00:03.000' in text
    assert "    corners with a radius of 12 px\n" in text
    assert "Speakers\n  00:00:01.000 - 00:00:03.000  anna_1\n  00:00:02.500 - 00:00:04.000  小明_1\n" in text
    assert "Nobody speaks\n" in describe_plan(replace(PLAN, speakers=()))
