"""Rendering a plan: any part has the pixels of the whole, a file that fails affects no other, and files are closed."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final
from weakref import ref

import numpy as np
import pytest

from owtmix.base.errors import InputError
from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.compositor.base import Scaler
from owtmix.compositor.factory import make_canvas
from owtmix.render.context import RenderContext
from owtmix.render.frames import Decoding, FrameRenderer, TileRenderer
from owtmix.render.results import DecodeFailure, RenderResult
from tests.media.pictures import BITS, camera, steady, write_film
from tests.render.rooms import (
    ANNA,
    BEN,
    CARL,
    FPS,
    MODES,
    busy_room,
    context_of,
    part,
    placed,
    render,
    rendering,
)
from tests.render.watched import WatchedCanvas, watched
from tests.support.sources import WatchedVideoSources, file_sources

LEFT, RIGHT = Rect(0, 0, 80, 96), Rect(80, 0, 80, 96)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> RenderContext:
    return busy_room(tmp_path_factory.mktemp("room"))


def with_mode(context: RenderContext, mode: ResizeMode) -> RenderContext:
    scenes = tuple(replace(scene, look=replace(scene.look, resize_mode=mode)) for scene in context.picture.scenes)
    return replace(context, plan=replace(context.plan, picture=replace(context.picture, scenes=scenes)))


def test_the_busy_room_has_many_scenes_files_and_a_placeholder(busy: RenderContext) -> None:
    picture = busy.picture
    assert picture.frames == 90
    assert len(picture.scenes) >= 6
    assert any(shot.source is None for shot in picture.shots[CARL])
    assert len({shot.source for shot in picture.shots[BEN]}) >= 2
    assert len(set(render(busy, range(90)))) >= 85


@pytest.mark.parametrize("mode", MODES)
def test_any_part_rendered_alone_is_the_same_as_in_the_whole(busy: RenderContext, mode: str) -> None:
    """Wherever it starts: between key frames, in a scene, in a pause, on a held picture."""
    context = with_mode(busy, MODES[mode])
    whole = render(context, range(90))
    step = 1 if mode == "fit" else 8
    for first in range(0, 90, step):
        frames = range(first, min(first + 2, 90))
        assert render(context, frames) == whole[first : frames.stop], f"from frame {first}"


def test_any_part_of_tiles_that_move_is_the_same_as_in_the_whole(tmp_path: Path) -> None:
    """With round corners, names and gaps."""
    looks = {"labels": True, "corner_px": 9, "gap_px": 6, "transition_s": Fraction(3, 5)}
    context = busy_room(tmp_path, screen_first=True, **looks)
    assert sum(bool(scene.origins) for scene in context.picture.scenes) >= 6
    whole = render(context, range(90))
    for first in range(0, 90, 3):
        assert render(context, range(first, first + 2)) == whole[first : first + 2], f"from frame {first}"


@pytest.mark.parametrize("cuts", [(0, 31, 90), (0, 30, 60, 90), (0, 13, 14, 57, 90)], ids=str)
def test_parts_put_together_are_the_whole(busy: RenderContext, cuts: tuple[int, ...]) -> None:
    parts = [render(busy, range(first, after)) for first, after in pairwise(cuts)]
    assert [frame for rendered in parts for frame in rendered] == render(busy, range(90))


def test_any_part_without_the_loop_filter_is_the_same_as_in_the_whole(tmp_path: Path) -> None:
    """What the missing filter does to a picture stays in it until the next key frame, wherever decoding begins."""
    rough = {"b": "100k"}
    anna = write_film(tmp_path / "a.webm", steady(90), size=Size(320, 192), gop=25, draw=camera, options=rough)
    ben = write_film(tmp_path / "b.mp4", steady(80), size=Size(320, 192), gop=31, draw=camera, options=rough)
    filtered = context_of([(ANNA, 0, anna), (BEN, 900, ben)])
    sources = tuple(replace(source, loop_filter=False) for source in filtered.plan.sources)
    plan = replace(filtered.plan, sources=sources)
    context = replace(filtered, plan=plan, sources=file_sources(plan, [anna, ben]))
    whole = render(context, range(89))
    assert sum(a != b for a, b in zip(whole, render(filtered, range(89)), strict=True)) > 80
    for first in range(0, 88, 3):
        assert render(context, range(first, first + 2)) == whole[first : first + 2], f"from frame {first}"


def test_rendering_twice_gives_the_same_pixels(busy: RenderContext) -> None:
    assert render(busy, range(90)) == render(busy, range(90))


def test_only_frames_that_are_shown_are_scaled_and_each_once(tmp_path: Path) -> None:
    """Thirty frames a second come in, ten go out."""
    for name, times_ms, shown in (("anna", steady(60, fps=30), 20), ("slow", steady(4, fps=2), 4)):
        context = context_of([(ANNA, 0, write_film(tmp_path / f"{name}.webm", times_ms))])
        fitted: list[Hashable] = []
        canvas = make_canvas(context.picture)
        render(context, range(20), canvas=WatchedCanvas(canvas, canvas.ahead, fitted.append))
        assert len(fitted) == len(set(fitted)) == shown


def test_one_stream_may_be_shown_in_several_places(tmp_path: Path) -> None:
    film = write_film(tmp_path / "anna.webm", steady(20))
    twice = context_of([(ANNA, 0, film)], positions=placed((ANNA, LEFT), (ANNA, RIGHT)))
    once = context_of([(ANNA, 0, film)], positions=placed((ANNA, LEFT)))
    for both, one in zip(render(twice, range(20)), render(once, range(20)), strict=True):
        assert part(both, LEFT) == part(both, RIGHT) == part(one, LEFT)


def test_a_stream_that_has_left_keeps_no_scaler(tmp_path: Path) -> None:
    """Its filter graphs hold many frames, and the stream may not return."""
    context = context_of([(ANNA, 0, write_film(tmp_path / "anna.webm", steady(20)))])
    picture, canvas = context.picture, make_canvas(context.picture)
    made: list[ref[Scaler]] = []

    def scaler(mode: ResizeMode) -> Scaler:
        new = canvas.scaler(mode)
        made.append(ref(new))
        return new

    tile = TileRenderer(ANNA, picture.shots[ANNA], Decoding(context.sources), scaler, picture.clock)
    assert tile.layers((Fraction(0),), (LEFT,), ResizeMode.FIT) != [{}]
    assert made[0]()
    tile.close()
    assert not made[0]()


@dataclass
class Log:
    """When which file was open, in frames of the output."""

    now: int = -1
    opened: dict[str, list[int]] = field(default_factory=dict)
    closed: dict[str, list[int]] = field(default_factory=dict)
    most: int = 0
    _open: list[str] = field(default_factory=list)

    def open(self, name: str) -> None:
        self._open.append(name)
        self.most = max(self.most, len(self._open))
        self.opened.setdefault(name, []).append(self.now)

    def close(self, name: str) -> None:
        self._open.remove(name)
        self.closed.setdefault(name, []).append(self.now)

    def begin_frame(self, t: Fraction) -> None:
        self.now = int(t * FPS) + 1

    def watch(self, context: RenderContext) -> RenderContext:
        """``context``, whose files are logged."""
        names = [source.key for source in context.plan.sources]
        sources = WatchedVideoSources(
            context.sources, lambda number: self.open(names[number]), lambda number: self.close(names[number])
        )
        return watched(replace(context, sources=sources), self.begin_frame)


def follow(context: RenderContext, frames: range) -> Log:
    """Render ``frames``; returns when which file was open."""
    log = Log(frames.start)
    render(log.watch(context), frames)
    log.now = frames.stop
    return log


def test_files_are_opened_when_they_are_first_shown_and_closed_after_their_last(tmp_path: Path) -> None:
    takes = [
        (ANNA, 0, write_film(tmp_path / "anna.webm", steady(60))),
        (BEN, 1000, write_film(tmp_path / "ben.webm", steady(15))),
        (BEN, 4000, write_film(tmp_path / "ben-again.webm", steady(10))),
        (CARL, 3000, write_film(tmp_path / "carl.webm", steady(5))),
    ]
    log = follow(context_of(takes), range(60))
    assert log.opened == {"anna.webm": [0], "ben.webm": [10], "carl.webm": [30], "ben-again.webm": [40]}
    assert log.closed == {"ben.webm": [25], "carl.webm": [35], "ben-again.webm": [50], "anna.webm": [60]}
    assert log.most == 2


def test_a_part_opens_only_the_files_that_it_shows(tmp_path: Path) -> None:
    takes = [
        (ANNA, 0, write_film(tmp_path / "anna.webm", steady(20))),
        (BEN, 2000, write_film(tmp_path / "ben.webm", steady(20))),
        (CARL, 3500, write_film(tmp_path / "carl.webm", steady(20))),
    ]
    log = follow(context_of(takes), range(24, 30))
    assert log.opened == {"ben.webm": [24]}
    assert log.closed == {"ben.webm": [30]}


def test_a_recording_is_decoded_for_several_frames_before_the_next(tmp_path: Path) -> None:
    """As far as the layout stays, and no further than the canvas holds layers."""
    takes = [(ANNA, 0, write_film(tmp_path / "anna.webm", steady(20))), (BEN, 300, tmp_path / "anna.webm")]
    context = context_of(takes)
    events: list[str] = []
    sources = WatchedVideoSources(context.sources, on_frame=lambda number, _: events.append(("anna", "ben")[number]))
    overlays = watched(context, lambda _: events.append("frame")).overlays()
    decoding, canvas = Decoding(sources), make_canvas(context.picture)
    with FrameRenderer(context.picture, decoding, canvas, overlays, threads=1) as renderer:
        for _, composed in renderer.render(range(20), RenderResult()):
            composed.release()
    told = [(name, len(list(same))) for name, same in groupby(events)]
    assert told[:2] == [("anna", 3), ("frame", 3)]
    assert told[2:8] == [("anna", 8), ("ben", 8), ("frame", 8)] * 2
    assert told[8:11] == [("anna", 1), ("ben", 1), ("frame", 1)]
    alone = WatchedCanvas(make_canvas(context.picture), ahead=1)
    assert render(context, range(20), canvas=alone) == render(context, range(20))


def test_all_files_are_closed_when_rendering_is_stopped(tmp_path: Path) -> None:
    takes = [(who, 0, write_film(tmp_path / f"{who}.webm", steady(20))) for who in (ANNA, BEN)]
    log = Log()
    with closing(rendering(log.watch(context_of(takes)), range(20))) as frames:
        next(frames)
        assert not log.closed
    assert sorted(log.closed) == ["anna_1.webm", "ben_1.webm"]


PAIR: Final = {"positions": placed((ANNA, LEFT), (BEN, RIGHT))}


def pair(folder: Path) -> RenderContext:
    """Anna on the left, Ben on the right, three seconds."""
    takes = [(who, 0, write_film(folder / f"{who.user}.webm", steady(30))) for who in (ANNA, BEN)]
    return context_of(takes, **PAIR)


@pytest.mark.parametrize("error", [InputError("the disk is gone"), ValueError("no such thing"), MemoryError("4 GB")])
def test_a_file_that_fails_midway_is_a_placeholder_from_there_on_and_the_rest_is_intact(
    tmp_path: Path, error: Exception
) -> None:
    context = pair(tmp_path)
    intact = render(context, range(30))

    def fail(source: int, t: Fraction) -> None:
        if context.plan.sources[source].stream == BEN and t >= Fraction(17, 10):
            raise error

    result = RenderResult()
    failing = replace(context, sources=WatchedVideoSources(context.sources, on_frame=fail))
    rendered = render(failing, range(30), result)
    assert rendered[:17] == intact[:17]
    assert [part(frame, LEFT) for frame in rendered] == [part(frame, LEFT) for frame in intact]
    placeholders = {part(frame, RIGHT) for frame in rendered[17:]}
    assert len(placeholders) == 1
    assert placeholders.isdisjoint(part(frame, RIGHT) for frame in intact)
    (failure,) = result.failures.values()
    assert failure.at_s == Fraction(7, 4)
    assert str(error) in failure.reason


def test_a_file_that_vanished_is_a_placeholder_from_the_start(tmp_path: Path) -> None:
    context = pair(tmp_path)
    intact = render(context, range(30))
    (tmp_path / "ben.webm").unlink()
    result = RenderResult()
    rendered = render(context, range(30), result)
    assert [part(frame, LEFT) for frame in rendered] == [part(frame, LEFT) for frame in intact]
    assert len({part(frame, RIGHT) for frame in rendered}) == 1
    assert list(result.failures.values()) == [
        DecodeFailure(Fraction(1, 20), "cannot be read: No such file or directory")
    ]


def test_an_output_frame_shows_the_newest_picture_at_the_middle_of_its_time(tmp_path: Path) -> None:
    times_ms = (0, 33, 60, 117, 233, 234, 400, 401, 500, 717, 1200)
    context = context_of(
        [
            (ANNA, 0, write_film(tmp_path / "anna.mp4", steady(15))),
            (BEN, 83, write_film(tmp_path / "ben.mp4", times_ms)),
        ],
        resize_mode=ResizeMode.STRETCH,
        **PAIR,
    )
    for k, frame in enumerate(render(context, range(1, 13)), 1):
        newest = max(i for i, ms in enumerate(times_ms) if ms + 83 <= 100 * k + 50)
        luma = np.frombuffer(part(frame, RIGHT), np.uint8).reshape(RIGHT.height, RIGHT.width)
        bars = np.array_split(luma, BITS, axis=1)
        assert sum(1 << bit for bit, bar in enumerate(bars) if bar.mean() > 120) == newest
