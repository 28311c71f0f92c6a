"""The canvas in main memory: drawing, partial redraws, and its frame pool."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.compositor.base import ComposedFrame, Layer
from owtmix.compositor.cpu import CpuCanvas, CpuScaler, Plane, Planes, planes
from owtmix.compositor.rounded import rounded
from owtmix.plan.buffers import POOL_FRAMES
from tests.compositor.stills import Still
from tests.media.pictures import flat

SIZE: Final = Size(48, 32)
BACKGROUND: Final = (70, 110, 150)
BLACK: Final = (16, 128, 128)


@dataclass
class Paint:
    """A layer of one code value that records its drawings; unless opaque, it blends half and half."""

    rect: Rect
    code: int
    opaque: bool = True
    drawn: list[int] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, bool]:
        return self.code, self.opaque

    def blend(self, y: Plane, u: Plane, v: Plane) -> None:
        self.drawn.append(self.code)
        for plane, half in ((y, 1), (u, 2), (v, 2)):
            part = plane[self.rect.y // half : self.rect.bottom // half, self.rect.x // half : self.rect.right // half]
            part[:] = self.code if self.opaque else (part.astype(np.uint16) + self.code) // 2


def canvas() -> CpuCanvas:
    return CpuCanvas(SIZE, BACKGROUND, "bt709")


def copied(composed: ComposedFrame) -> Planes:
    y, u, v = (plane.copy() for plane in planes(composed.frame))
    return y, u, v


def compose(on: CpuCanvas, *layers: Layer) -> Planes:
    """The composed planes; the frame is released at once."""
    composed = on.compose(layers)
    drawn = copied(composed)
    composed.release()
    return drawn


def same(a: Planes, b: Planes) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def draw_on_all_frames(on: CpuCanvas, *layers: Paint) -> None:
    """Draw ``layers`` on every frame of the pool; another layer in between makes each compose draw."""
    for _ in range(POOL_FRAMES):
        compose(on, *layers)
        compose(on, *layers, Paint(Rect(0, 0, 2, 2), 1))


def test_a_canvas_without_layers_is_background() -> None:
    for plane, code in zip(compose(canvas()), BACKGROUND, strict=True):
        assert (plane == code).all()


def test_layers_are_drawn_back_to_front() -> None:
    y, u, v = compose(canvas(), Paint(Rect(0, 0, 20, 20), 30), Paint(Rect(10, 10, 20, 20), 60))
    assert (y[0, 0], y[10, 10], y[29, 29], y[31, 47]) == (30, 60, 60, BACKGROUND[0])
    assert (u[4, 4], u[5, 5], v[14, 14], v[15, 23]) == (30, 60, 60, BACKGROUND[2])


def test_black_bars_belong_to_the_tile_and_cover_what_is_under_it() -> None:
    tile = Rect(8, 4, 32, 24)
    patch = CpuScaler(ResizeMode.FIT, "bt709").fit(Still(flat(Size(64, 16), (200, 90, 170))), tile, "wide")
    assert patch.opaque
    assert patch.rect == tile
    drawn = compose(canvas(), Paint(Rect(0, 0, 48, 32), 33), patch)
    for plane, picture, black, half in zip(drawn, (200, 90, 170), BLACK, (1, 2, 2), strict=True):
        expected = np.full_like(plane, 33)
        expected[4 // half : 28 // half, 8 // half : 40 // half] = black
        expected[12 // half : 20 // half, 8 // half : 40 // half] = picture
        assert np.array_equal(plane, expected)


@pytest.mark.parametrize("source", [Size(64, 16), Size(16, 64), Size(30, 22), Size(1, 1), Size(161, 7)], ids=str)
def test_a_tile_covers_everything_under_it_whatever_the_frame_s_shape(source: Size) -> None:
    tile = Rect(8, 4, 32, 24)
    for mode in ResizeMode:
        patch = canvas().scaler(mode).fit(Still(flat(source, (16, 128, 128))), tile, "picture")
        for plane, black, half in zip(
            compose(canvas(), Paint(Rect(0, 0, 48, 32), 250), patch), BLACK, (1, 2, 2), strict=True
        ):
            assert (plane[4 // half : 28 // half, 8 // half : 40 // half] == black).all()
            assert (plane[: 4 // half] == 250).all()
            assert (plane[:, 40 // half :] == 250).all()


def test_wide_pixels_make_a_wide_picture() -> None:
    still = Still(flat(Size(32, 32), (200, 128, 128)), sar=Fraction(2))
    patch = canvas().scaler(ResizeMode.FIT).fit(still, Rect(0, 0, 32, 32), "picture")
    assert patch.target == Rect(0, 8, 32, 16)


def test_an_unchanged_canvas_is_the_same_frame_again() -> None:
    on, layer = canvas(), Paint(Rect(0, 0, 20, 20), 30)
    first, second = on.compose([layer]), on.compose([Paint(Rect(0, 0, 20, 20), 30)])
    assert first.frame is second.frame
    assert layer.drawn == [30]
    first.release()
    third = on.compose([layer])
    assert third.frame is first.frame


def test_only_what_changed_is_drawn_again() -> None:
    on = canvas()
    left, right = Paint(Rect(0, 0, 20, 32), 30), Paint(Rect(20, 0, 20, 32), 40)
    for _ in range(POOL_FRAMES):  # each frame of the pool is drawn for the first time
        compose(on, left, right)
        right = Paint(right.rect, right.code + 1)
    left.drawn.clear()
    for code in range(100, 120):
        changed = Paint(right.rect, code)
        y, _, _ = compose(on, left, changed)
        assert changed.drawn == [code]
        assert (y[0, 0], y[0, 20]) == (30, code)
    assert left.drawn == []


def test_a_change_redraws_layers_above_it_but_not_beside_it() -> None:
    on = canvas()
    under, over, beside = Paint(Rect(0, 0, 20, 20), 30), Paint(Rect(10, 10, 20, 20), 60), Paint(Rect(32, 0, 16, 8), 90)
    for code in range(POOL_FRAMES):
        compose(on, Paint(under.rect, code), over, beside)
    over.drawn.clear()
    beside.drawn.clear()
    y, _, _ = compose(on, Paint(under.rect, 31), over, beside)
    assert (y[0, 0], y[15, 15], y[0, 40]) == (31, 60, 90)
    assert (over.drawn, beside.drawn) == ([60], [])


def test_a_change_of_an_opaque_layer_does_not_redraw_what_is_under_it() -> None:
    on, under = canvas(), Paint(Rect(0, 0, 20, 20), 30)
    for code in range(POOL_FRAMES):
        compose(on, under, Paint(Rect(10, 10, 20, 20), code))
    under.drawn.clear()
    compose(on, under, Paint(Rect(10, 10, 20, 20), 99))
    assert under.drawn == []


def test_a_blended_layer_is_never_blended_over_itself() -> None:
    on = canvas()
    for code in range(3 * POOL_FRAMES):
        blended = Paint(Rect(4, 4, 8, 8), 200 + code % 2, opaque=False)
        y, _, _ = compose(on, Paint(Rect(0, 0, 6, 32), 30), blended, Paint(Rect(40, 0, 8, 8), code))
        assert y[8, 4] == (30 + blended.code) // 2
        assert y[8, 10] == (BACKGROUND[0] + blended.code) // 2


def test_a_moved_layer_redraws_everything() -> None:
    on = canvas()
    draw_on_all_frames(on, Paint(Rect(0, 0, 20, 20), 30))
    moved = Paint(Rect(20, 4, 20, 20), 30)
    assert same(compose(on, moved), compose(canvas(), moved))
    assert same(compose(on), compose(canvas()))


def test_uncovered_background_is_redrawn() -> None:
    on = canvas()
    draw_on_all_frames(on, Paint(Rect(0, 0, 48, 32), 30))
    y, _, _ = compose(on, Paint(Rect(0, 0, 24, 32), 30))
    assert (y[:, 24:] == BACKGROUND[0]).all()


EVEN: Final = st.integers(0, 7).map(lambda n: 2 * n)


@st.composite
def places(draw: st.DrawFn) -> Rect:
    x, y = draw(EVEN), draw(EVEN)
    return Rect(x, y, 2 + 2 * draw(st.integers(0, 8)), 2 + 2 * draw(st.integers(0, 7)))


@st.composite
def scenes(draw: st.DrawFn) -> list[list[Layer]]:
    """A few arrangements of layers, some with round corners, each shown several times with changing content."""
    shown = []
    for _ in range(draw(st.integers(1, 3))):
        rects = draw(st.lists(st.tuples(places(), st.booleans(), st.integers(0, 6)), max_size=4))
        shown += [
            [rounded(Paint(rect, draw(st.integers(20, 22)), opaque), corner) for rect, opaque, corner in rects]
            for _ in range(draw(st.integers(1, 8)))
        ]
    return shown


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_any_history_gives_the_pixels_of_a_fresh_canvas(shown: Sequence[Sequence[Layer]]) -> None:
    """Partial redraws equal a full draw: rendering any range alone depends on this."""
    on = canvas()
    for layers in shown:
        assert same(compose(on, *layers), compose(canvas(), *layers))


def test_a_change_of_a_tile_with_round_corners_redraws_only_what_is_under_them() -> None:
    tile, beside, under = Rect(0, 0, 24, 16), Rect(8, 4, 8, 8), Rect(20, 12, 8, 8)
    below = [Paint(beside, 50), Paint(under, 60)]
    on = canvas()
    for code in range(30, 30 + 2 * POOL_FRAMES):
        compose(on, *below, rounded(Paint(tile, code), 6))
    before = [len(paint.drawn) for paint in below]
    compose(on, *below, rounded(Paint(tile, 90), 6))
    assert [len(paint.drawn) - count for paint, count in zip(below, before, strict=True)] == [0, 1]


def test_a_frame_in_use_is_not_drawn_on() -> None:
    on = canvas()
    held = [on.compose([Paint(Rect(0, 0, 8, 8), code)]) for code in range(POOL_FRAMES)]
    assert len({id(composed.frame) for composed in held}) == POOL_FRAMES
    assert [copied(composed)[0][0, 0] for composed in held] == list(range(POOL_FRAMES))


def test_a_frame_with_two_users_is_in_use_until_both_released_it() -> None:
    on = canvas()
    twice = [on.compose([Paint(Rect(0, 0, 8, 8), 99)]) for _ in range(2)]
    twice[0].release()
    for code in range(3 * POOL_FRAMES):
        compose(on, Paint(Rect(0, 0, 8, 8), code))
    assert copied(twice[1])[0][0, 0] == 99


def test_the_canvas_waits_while_all_frames_are_in_use() -> None:
    on = canvas()
    held = [on.compose([Paint(Rect(0, 0, 8, 8), code)]) for code in range(POOL_FRAMES)]
    done = threading.Event()
    drawn: list[ComposedFrame] = []

    def draw() -> None:
        drawn.append(on.compose([Paint(Rect(0, 0, 8, 8), 77)]))
        done.set()

    thread = threading.Thread(target=draw)
    thread.start()
    assert not done.wait(0.05)
    held[2].release()
    thread.join()
    assert drawn[0].frame is held[2].frame
    assert [copied(held[i])[0][0, 0] for i in (0, 1, 3, 4, 5)] == [0, 1, 3, 4, 5]


def test_users_in_other_threads_never_see_a_frame_change() -> None:
    """Three users hold frames for a while, as an encoder does, and read them before and after."""
    on = canvas()
    waiting: list[tuple[int, ComposedFrame]] = []
    changed = threading.Condition()
    seen: list[tuple[int, int, int]] = []

    def use() -> None:
        while True:
            with changed:
                changed.wait_for(lambda: waiting)
                code, composed = waiting.pop(0)
            if code < 0:
                return
            before = int(planes(composed.frame)[0][0, 0])
            threading.Event().wait(0.001)
            seen.append((code, before, int(planes(composed.frame)[0][4, 4])))
            composed.release()

    users = [threading.Thread(target=use) for _ in range(3)]
    for user in users:
        user.start()
    codes = [20 + number // 2 % 180 for number in range(300)]  # every frame is shown twice
    for code in codes:
        composed = on.compose([Paint(Rect(0, 0, 8, 8), code)])
        with changed:
            waiting.append((code, composed))
            changed.notify()
    with changed:
        waiting.extend([(-1, composed)] * len(users))
        changed.notify_all()
    for user in users:
        user.join()
    assert len(seen) == len(codes)
    assert all(code == before == after for code, before, after in seen)


def test_converters_of_two_sizes_are_cached() -> None:
    """A stream that alternates between two sizes must not build a filter graph per frame."""
    scaler = canvas().scaler(ResizeMode.FIT)
    large, small = (Still(flat(size)) for size in (Size(64, 48), Size(32, 24)))
    for number in range(6):
        scaler.fit(small if number % 2 else large, Rect(0, 0, 20, 16), number)
    kept = list(scaler._converters.values())
    assert len(kept) == 2
    scaler.fit(large, Rect(0, 0, 20, 16), 6)
    assert sorted(map(id, scaler._converters.values())) == sorted(map(id, kept))


def test_converters_of_tiles_that_are_no_longer_shown_are_freed() -> None:
    """Each filter graph holds frames of its size; layout changes must not accumulate them."""
    scaler = canvas().scaler(ResizeMode.FIT)
    still = Still(flat(Size(64, 48)))
    before, both = Rect(0, 0, 20, 16), Rect(20, 0, 40, 32)
    for number in range(3):
        for tile in (before, both):
            scaler.fit(still, tile, number)
    assert len(scaler._converters) == 2
    for number in (3, 4):
        scaler.fit(still, both, number)
    assert len(scaler._converters) == 1


@pytest.mark.parametrize(("size", "ahead"), [((1920, 1080), 8), ((3840, 2160), 2), ((7680, 4320), 1), ((64, 48), 8)])
def test_large_canvases_hold_fewer_layers_ready(size: tuple[int, int], ahead: int) -> None:
    assert CpuCanvas(Size(*size), (16, 128, 128), "bt709").ahead == ahead
