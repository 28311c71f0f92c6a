"""Drawing a plan: any part of it alone is as in the whole, a failing file costs only itself, and files stay closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from weakref import ref

import numpy as np
import pytest

from owtmix.base.errors import InputError
from owtmix.base.geometry import Rect, ResizeMode
from owtmix.compositor.cpu import CpuScaler, Patch
from owtmix.compositor.factory import make_canvas
from owtmix.compositor.overlays import Overlays
from owtmix.media.video_frame import DecodedFrame
from owtmix.media.video_reader import VideoReader
from owtmix.plan.device import CPU
from owtmix.render import frames
from owtmix.render.frames import Footage, TileRenderer
from owtmix.render.results import DecodeFailure, RenderResult
from owtmix.render.video_track import Material
from tests.media.pictures import BITS, steady, write_film
from tests.render.footage import ANNA, BEN, CARL, MODES, busy_room, draw, drawing, part, picture_of, placed, plan

LEFT, RIGHT = Rect(0, 0, 80, 96), Rect(80, 0, 80, 96)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return busy_room(tmp_path_factory.mktemp("room"))


def with_mode(material: Material, mode: ResizeMode) -> Material:
    return replace(material, plan=replace(material.plan, picture=replace(picture_of(material), resize_mode=mode)))


def test_the_busy_room_is_as_busy_as_it_is_meant_to_be(busy: Material) -> None:
    picture = picture_of(busy)
    assert picture.frames == 90
    assert len(picture.scenes) >= 6
    assert any(shot.source is None for shot in picture.shots[CARL])
    assert len({shot.source for shot in picture.shots[BEN]}) >= 2
    assert len(set(draw(busy, range(90)))) >= 85


@pytest.mark.parametrize("mode", MODES)
def test_any_part_drawn_alone_is_the_same_as_in_the_whole(busy: Material, mode: str) -> None:
    """Wherever it starts: between key frames, in a scene, in a pause, on a held picture."""
    material = with_mode(busy, MODES[mode])
    whole = draw(material, range(90))
    step = 1 if mode == "fit" else 8
    for first in range(0, 90, step):
        frames = range(first, min(first + 2, 90))
        assert draw(material, frames) == whole[first : frames.stop], f"from frame {first}"


@pytest.mark.parametrize("cuts", [(0, 31, 90), (0, 30, 60, 90), (0, 13, 14, 57, 90)], ids=str)
def test_parts_put_together_are_the_whole(busy: Material, cuts: tuple[int, ...]) -> None:
    parts = [draw(busy, range(first, after)) for first, after in pairwise(cuts)]
    assert [frame for drawn in parts for frame in drawn] == draw(busy, range(90))


def test_drawing_twice_gives_the_same_pixels(busy: Material) -> None:
    assert draw(busy, range(90)) == draw(busy, range(90))


def test_only_frames_that_are_shown_are_scaled_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty frames a second come in, ten go out."""
    fitted = []
    fit = CpuScaler.fit

    def spy(scaler: CpuScaler, picture: DecodedFrame, tile: Rect, key: object) -> Patch:
        fitted.append(key)
        return fit(scaler, picture, tile, key)

    monkeypatch.setattr(CpuScaler, "fit", spy)
    draw(plan([(ANNA, 0, write_film(tmp_path / "anna.webm", steady(60, fps=30)))]), range(20))
    assert len(fitted) == len(set(fitted)) == 20
    fitted.clear()
    draw(plan([(ANNA, 0, write_film(tmp_path / "slow.webm", steady(4, fps=2)))]), range(20))
    assert len(fitted) == len(set(fitted)) == 4


def test_one_stream_may_be_shown_in_several_places(tmp_path: Path) -> None:
    film = write_film(tmp_path / "anna.webm", steady(20))
    twice = plan([(ANNA, 0, film)], positions=placed((ANNA, LEFT), (ANNA, RIGHT)))
    once = plan([(ANNA, 0, film)], positions=placed((ANNA, LEFT)))
    for both, one in zip(draw(twice, range(20)), draw(once, range(20)), strict=True):
        assert part(both, LEFT) == part(both, RIGHT) == part(one, LEFT)


def test_a_stream_that_is_gone_keeps_no_scaler(tmp_path: Path) -> None:
    """Its filter graphs hold many frames, and it may not come back."""
    material = plan([(ANNA, 0, write_film(tmp_path / "anna.webm", steady(20)))])
    picture = picture_of(material)
    footage = Footage(material.plan.sources, material.paths)
    content = TileRenderer(ANNA, picture.shots[ANNA], footage, make_canvas(picture, CPU).scaler, picture.clock)
    content.layers((Fraction(0),), (LEFT,))
    kept = ref(content._scaler)
    content.close()
    assert not kept()


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


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()

    class Spy(VideoReader):
        def __init__(self, path: Path, *how: Any) -> None:
            super().__init__(path, *how)
            self.name = path.name
            log.open(path.name)

        def close(self) -> None:
            super().close()
            log.close(self.name)

    monkeypatch.setattr(frames, "VideoReader", Spy)
    return log


def follow(material: Material, frames: range, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw ``frames``, and let ``log`` know which is being drawn."""
    watermarks = Overlays.watermarks

    def spy(decoration: Overlays, t: Fraction) -> object:
        log.now = int(t * 10) + 1
        return watermarks(decoration, t)

    monkeypatch.setattr(Overlays, "watermarks", spy)
    log.now = frames.start
    draw(material, frames)
    log.now = frames.stop


def test_files_are_opened_when_they_are_first_shown_and_closed_after_their_last(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = [
        (ANNA, 0, write_film(tmp_path / "anna.webm", steady(60))),
        (BEN, 1000, write_film(tmp_path / "ben.webm", steady(15))),
        (BEN, 4000, write_film(tmp_path / "ben-again.webm", steady(10))),
        (CARL, 3000, write_film(tmp_path / "carl.webm", steady(5))),
    ]
    follow(plan(takes), range(60), log, monkeypatch)
    assert log.opened == {"anna.webm": [0], "ben.webm": [10], "carl.webm": [30], "ben-again.webm": [40]}
    assert log.closed == {"ben.webm": [25], "carl.webm": [35], "ben-again.webm": [50], "anna.webm": [60]}
    assert log.most == 2


def test_a_part_opens_only_the_files_that_it_shows(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    takes = [
        (ANNA, 0, write_film(tmp_path / "anna.webm", steady(20))),
        (BEN, 2000, write_film(tmp_path / "ben.webm", steady(20))),
        (CARL, 3500, write_film(tmp_path / "carl.webm", steady(20))),
    ]
    follow(plan(takes), range(24, 30), log, monkeypatch)
    assert log.opened == {"ben.webm": [24]}
    assert log.closed == {"ben.webm": [30]}


def test_a_recording_is_decoded_for_several_frames_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the layout stays, and no further than the canvas holds layers."""
    takes = [(ANNA, 0, write_film(tmp_path / "anna.webm", steady(20))), (BEN, 300, tmp_path / "anna.webm")]
    asked: dict[str, list[int]] = {"anna": [], "ben": []}
    layers = TileRenderer.layers

    def spy(content: TileRenderer, times: Iterable[Fraction], places: Sequence[Rect]) -> object:
        times = list(times)
        asked[content.stream.user].append(len(times))
        return layers(content, times, places)

    monkeypatch.setattr(TileRenderer, "layers", spy)
    material = plan(takes)
    drawn = draw(material, range(20))
    assert asked == {"anna": [3, 8, 8, 1], "ben": [8, 8, 1]}
    alone = make_canvas(picture_of(material), CPU)
    monkeypatch.setattr(alone, "ahead", 1)
    assert draw(material, range(20), canvas=alone) == drawn


def test_all_files_are_closed_when_drawing_is_broken_off(tmp_path: Path, log: Log) -> None:
    takes = [(who, 0, write_film(tmp_path / f"{who}.webm", steady(20))) for who in (ANNA, BEN)]
    with closing(drawing(plan(takes), range(20))) as frames:
        next(frames)
        assert not log.closed
    assert sorted(log.closed) == ["anna_1.webm", "ben_1.webm"]


PAIR: Final = {"positions": placed((ANNA, LEFT), (BEN, RIGHT))}


def pair(folder: Path) -> Material:
    """Anna on the left, Ben on the right, three seconds."""
    takes = [(who, 0, write_film(folder / f"{who.user}.webm", steady(30))) for who in (ANNA, BEN)]
    return plan(takes, **PAIR)


@pytest.mark.parametrize("error", [InputError("the disk is gone"), ValueError("no such thing"), MemoryError("4 GB")])
def test_a_file_that_fails_midway_is_a_card_from_there_on_and_the_rest_is_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    material = pair(tmp_path)
    intact = draw(material, range(30))
    frame_at = VideoReader.frame_at

    def failing(reader: VideoReader, t: Fraction) -> DecodedFrame | None:
        if "ben" in str(reader._path) and t >= Fraction(17, 10):
            raise error
        return frame_at(reader, t)

    monkeypatch.setattr(VideoReader, "frame_at", failing)
    notes = RenderResult()
    drawn = draw(material, range(30), notes)
    assert drawn[:17] == intact[:17]
    assert [part(frame, LEFT) for frame in drawn] == [part(frame, LEFT) for frame in intact]
    cards = {part(frame, RIGHT) for frame in drawn[17:]}
    assert len(cards) == 1
    assert cards.isdisjoint(part(frame, RIGHT) for frame in intact)
    (failure,) = notes.failures.values()
    assert failure.at_s == Fraction(17, 10)
    assert str(error) in failure.reason


def test_a_file_that_vanished_is_a_card_from_the_start(tmp_path: Path) -> None:
    material = pair(tmp_path)
    intact = draw(material, range(30))
    (tmp_path / "ben.webm").unlink()
    notes = RenderResult()
    drawn = draw(material, range(30), notes)
    assert [part(frame, LEFT) for frame in drawn] == [part(frame, LEFT) for frame in intact]
    assert len({part(frame, RIGHT) for frame in drawn}) == 1
    assert list(notes.failures.values()) == [DecodeFailure(Fraction(0), "cannot be read: No such file or directory")]


def test_a_file_s_frame_is_shown_from_the_first_output_frame_that_is_not_before_it(tmp_path: Path) -> None:
    times_ms = (0, 33, 60, 117, 233, 234, 400, 401, 500, 717, 1200)
    material = plan(
        [
            (ANNA, 0, write_film(tmp_path / "anna.mp4", steady(15))),
            (BEN, 83, write_film(tmp_path / "ben.mp4", times_ms)),
        ],
        resize_mode=ResizeMode.STRETCH,
        **PAIR,
    )
    for k, frame in enumerate(draw(material, range(1, 13)), 1):
        newest = max(i for i, ms in enumerate(times_ms) if ms + 83 <= 100 * k)
        luma = np.frombuffer(part(frame, RIGHT), np.uint8).reshape(RIGHT.height, RIGHT.width)
        bars = np.array_split(luma, BITS, axis=1)
        assert sum(1 << bit for bit, bar in enumerate(bars) if bar.mean() > 120) == newest
