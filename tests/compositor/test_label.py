"""Names on tiles."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np
import pytest

from owtmix.base.geometry import Rect, Size
from owtmix.compositor.label import draw_label, label_px, place_label
from owtmix.compositor.overlays import Overlays
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import JobSpec
from owtmix.plan.build import make_plan
from owtmix.plan.model import PicturePlan
from owtmix.plan.tiles import Tile
from tests.support.plans import ANNA, BEN, JOB, MIXER, both, index_of, room

NAMES: Final = ("anna", "Älice Brücke", "王小明", "Иван", "Ελένη", "한지민", "ユキ", "x" * 80, "", "\u202eevil\n")
CLIPS: Final = room(both(ANNA, 0, 4), both(BEN, 1, 4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("height", [2, 20, 90, 360, 1080])
@pytest.mark.parametrize("is_muted", [True, False])
def test_a_label_is_no_larger_than_its_tile(name: str, height: int, is_muted: bool) -> None:
    tile = Rect(10, 20, height * 16 // 9 // 2 * 2 or 2, height)
    label = draw_label(name, tile.size, is_muted=is_muted)
    assert label.shape[0] <= tile.height
    assert label.shape[1] <= tile.width
    x, y = place_label(label, tile)
    assert tile.contains(Rect(x, y, label.shape[1], label.shape[0]))
    assert x - tile.x == tile.bottom - y - label.shape[0]


def test_letters_grow_with_the_tile_within_bounds() -> None:
    sizes = [label_px(Size(160, height)) for height in (2, 90, 180, 360, 720, 1080)]
    assert sizes == [10, 10, 11, 22, 36, 36]


def test_the_ground_is_dark_and_translucent_and_letters_are_white() -> None:
    label = draw_label("anna", Size(640, 360))
    assert tuple(label[0, 0]) == (20, 20, 20, 150)
    assert (label[label[..., 3] == 255][:, :3] >= 250).all()
    assert (label[..., 3] == 255).any()


def test_a_mark_for_a_muted_microphone_stands_before_the_name() -> None:
    plain, muted = (draw_label("anna", Size(640, 360), is_muted=is_muted) for is_muted in (False, True))
    px = label_px(Size(640, 360))
    assert muted.shape[1] == plain.shape[1] + px + px // 2 // 2
    red = (muted[..., 0].astype(int) - muted[..., 1] > 60) & (muted[..., 3] > 200)
    columns = np.flatnonzero(red.any(axis=0))
    assert px // 2 <= columns[0] < columns[-1] < px // 2 + px
    assert not ((plain[..., 0] != plain[..., 1]).any())


def picture_of(job: JobSpec) -> PicturePlan:
    plan = make_plan(job, index_of(CLIPS), CLIPS, PlanSettings())
    assert plan.picture
    return plan.picture


def labelled(**names: str) -> JobSpec:
    return replace(JOB, mixer=replace(MIXER, labels=True), names=names)


def test_tiles_have_names_of_the_job_or_else_of_users() -> None:
    picture = picture_of(labelled(anna="Anna 王"))
    assert [[tile.label for tile in scene.tiles] for scene in picture.scenes] == [["Anna 王"], ["Anna 王", "ben"]]
    assert picture.names == {ANNA: "Anna 王"}
    assert not any(tile.label for scene in picture_of(JOB).scenes for tile in scene.tiles)


def test_the_index_names_users_whom_the_job_does_not() -> None:
    named = [replace(clip, recording=replace(clip.recording, user_name="From the index")) for clip in CLIPS]
    plan = make_plan(labelled(ben="Ben"), index_of(named), named, PlanSettings())
    assert plan.picture
    assert plan.picture.names == {ANNA: "From the index", BEN: "Ben"}


def test_labels_are_drawn_once_while_their_tiles_stay() -> None:
    picture = picture_of(labelled())
    overlays = Overlays(picture, {}, lambda _: None, "UTC")
    tiles = picture.scenes[1].tiles
    first, again = overlays.on_tiles(tiles, 0), overlays.on_tiles(tiles, 0)
    assert list(first) == list(tiles)
    assert all(first[tile] is again[tile] for tile in tiles)
    moved = [Tile(tile.stream, replace(tile.rect, x=0), tile.label) for tile in tiles]
    assert overlays.on_tiles(moved, 0).keys() == set(moved)
    assert overlays.on_tiles([Tile(ANNA, tiles[0].rect)], 0) == {Tile(ANNA, tiles[0].rect): ()}
    assert overlays.watermarks((), Fraction(0)) == []
