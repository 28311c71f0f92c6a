"""Which layers each frame is composed of, without pixels and without files."""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from itertools import pairwise

import pytest
from av.video.frame import VideoFrame

from owtmix.base.geometry import Rect
from owtmix.compositor.base import Layer
from owtmix.compositor.rounded import RoundedLayer
from owtmix.jobfile.spec import TextWatermark
from owtmix.plan.model import RenderPlan
from owtmix.plan.voice import Voice, VoiceRun
from owtmix.render.context import RenderContext
from owtmix.render.results import RenderResult
from tests.render.rooms import ANNA, BEN, FPS, placed, plan_of, rendering
from tests.support.canvas import RecordingCanvas
from tests.support.plans import picture, room, sound, take
from tests.support.sources import MemorySources

LEFT, RIGHT = Rect(0, 0, 80, 96), Rect(80, 0, 80, 96)


def compose(plan: RenderPlan, frames: range, ahead: int = 1) -> list[list[Layer]]:
    """The layers of ``frames``; every source has a frame at each quarter of a second."""
    frame = VideoFrame(64, 48, "yuv420p")
    pictures = {n: [(Fraction(i, 4), frame) for i in range(40)] for n in range(len(plan.sources))}
    canvas, result = RecordingCanvas(ahead), RenderResult()
    for _, composed in rendering(RenderContext(plan, MemorySources(pictures), {}), frames, result, canvas):
        composed.release()
    assert not result.failures
    return canvas.composed


def content(layer: Layer) -> Hashable:
    """The number of the source that ``layer`` shows, ``placeholder``, or the text of the watermark."""
    assert isinstance(layer.key, tuple)
    shown = layer.key[0]
    return f"mark {shown.text}" if isinstance(shown, TextWatermark) else shown


def test_a_frame_is_the_tiles_of_its_scene_and_then_the_watermarks() -> None:
    clips = room(take(ANNA, 0, picture([0], end=2)), take(BEN, 1, picture([0], end=1)))
    marks = (TextWatermark(4, 4, 0.8, "first"), TextWatermark(8, 4, 0.8, "second"))
    plan = plan_of(clips, watermarks=marks)
    composed = compose(plan, range(2 * FPS))
    assert plan.picture
    assert [scene.span.start for scene in plan.picture.scenes] == [0, 1]
    for scene in plan.picture.scenes:
        for number in range(int(scene.span.start * FPS), int(scene.span.end * FPS)):
            layers = composed[number]
            assert [layer.rect for layer in layers[:-2]] == [tile.rect for tile in scene.tiles]
            shown = [{ANNA: 0, BEN: 1}[tile.stream] for tile in scene.tiles]
            assert [content(layer) for layer in layers] == [*shown, "mark first", "mark second"]


def test_a_label_lies_on_its_tile_and_below_the_next_one() -> None:
    clips = room(take(ANNA, 0, picture([0], end=1)), take(BEN, 0, picture([0], end=1)))
    plan = plan_of(clips, positions=placed((ANNA, LEFT), (BEN, RIGHT)), labels=True)
    (layers, *_) = compose(plan, range(1))
    anna, on_anna, ben, on_ben = layers
    assert [content(anna), content(on_anna), content(ben), content(on_ben)] == [0, "label", 1, "label"]
    assert (anna.rect, ben.rect) == (LEFT, RIGHT)
    assert LEFT.contains(on_anna.rect)
    assert RIGHT.contains(on_ben.rect)
    assert not on_anna.opaque


def test_a_border_lies_on_its_tile_and_below_its_label() -> None:
    clips = room(take(ANNA, 0, picture([0, 1], end=2), sound(0, 2)))
    voices = {0: Voice((VoiceRun(20, (-20,) * 20),))}
    plan = plan_of(clips, voices=voices, speaker_border=True, labels=True)
    composed = compose(plan, range(2 * FPS))
    assert [[content(layer) for layer in layers] for layers in (composed[FPS - 1], composed[FPS])] == [
        [0, "label"],
        [0, *["border"] * 4, "label"],
    ]
    assert all(layer.opaque for layer in composed[FPS][1:5])


def test_tiles_with_round_corners_show_what_is_beneath() -> None:
    clips = room(take(ANNA, 0, picture([0], end=1)), take(BEN, 0, picture([1, 2], end=2), sound(0, 1)))
    plan = plan_of(clips, positions=placed((ANNA, LEFT), (BEN, RIGHT)), corner_px=12)
    (layers, *_) = compose(plan, range(1))
    assert [isinstance(layer, RoundedLayer) and layer.corner_px for layer in layers] == [12, 12]
    assert [layer.rect for layer in layers] == [LEFT, RIGHT]
    assert not any(layer.opaque for layer in layers)


@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_tiles_move_to_their_new_places(ahead: int) -> None:
    """From one tile to the half of the canvas, in half a second."""
    clips = room(take(ANNA, 0, picture([0], end=3)), take(BEN, 1, picture([0], end=2)))
    plan = plan_of(clips, transition_s=Fraction(1, 2))
    composed = compose(plan, range(3 * FPS), ahead)
    widths = [layers[0].rect.width for layers in composed]
    assert plan.picture
    whole, half = (scene.tiles[0].rect.width for scene in plan.picture.scenes)
    assert widths[:FPS] == [whole] * FPS
    moving = widths[FPS : FPS + FPS // 2]
    assert moving == sorted(set(moving), reverse=True)
    assert whole > moving[0] > moving[-1] > half
    assert set(widths[FPS + FPS // 2 :]) == {half}
    alone = compose(plan, range(FPS + 2, FPS + 4), ahead)
    assert [[layer.rect for layer in layers] for layers in alone] == [
        [layer.rect for layer in layers] for layers in composed[FPS + 2 : FPS + 4]
    ]


def test_layers_lie_in_the_order_of_their_positions() -> None:
    clips = room(take(ANNA, 0, picture([0], end=1)), take(BEN, 0, picture([0], end=1)))
    for positions in (placed((ANNA, LEFT), (BEN, RIGHT)), placed((BEN, RIGHT), (ANNA, LEFT))):
        (layers, *_) = compose(plan_of(clips, positions=positions), range(1))
        assert [layer.rect for layer in layers] == [position.region for position in positions]
        assert [content(layer) for layer in layers] == [{ANNA: 0, BEN: 1}[p.stream] for p in positions]


def test_a_stream_without_a_picture_is_a_placeholder_in_its_tile() -> None:
    """Ben is heard from the beginning, and seen after a second."""
    clips = room(take(ANNA, 0, picture([0], end=2)), take(BEN, 0, picture([1, 2], end=2), sound(0, 2)))
    plan = plan_of(clips, positions=placed((ANNA, LEFT), (BEN, RIGHT)))
    composed = compose(plan, range(2 * FPS))
    assert [content(right) for _, right in composed] == ["placeholder"] * FPS + [1] * FPS
    assert {content(left) for left, _ in composed} == {0}
    assert {(left.rect, right.rect) for left, right in composed} == {(LEFT, RIGHT)}
    assert composed[0][1].key == ("placeholder", BEN, RIGHT)


@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_a_frame_that_is_shown_again_is_the_same_layer(ahead: int) -> None:
    """The canvas need not draw it again: the source has four frames a second, the output has ten."""
    plan = plan_of(room(take(ANNA, 0, picture([0], end=2))))
    composed = compose(plan, range(2 * FPS), ahead)
    keys = [layer.key for (layer,) in composed]
    assert len(set(keys)) == 8
    assert [a == b for a, b in pairwise(keys)] == [(4 * n + 2) // FPS == (4 * n + 6) // FPS for n in range(2 * FPS - 1)]
