"""The fonts that are selected from folders, and warnings of missing glyphs."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest
from fontTools.ttLib import TTCollection, TTFont

from owtmix.base.errors import RenderError
from owtmix.base.geometry import Rect
from owtmix.base.ids import StreamId
from owtmix.compositor.overlays import Overlays
from owtmix.compositor.text.coverage import missing_glyph_warnings, needed_fonts, with_fonts
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import TextWatermark
from owtmix.plan.build import make_plan
from owtmix.plan.model import FontFile, PicturePlan, RenderPlan
from owtmix.produce.chunk_key import InputVersions, chunk_key
from tests.support.made_font import I_SIGN, KA, SSA, make_font
from tests.support.plans import JOB, MIXER, index_of, room, seen

THAI = "\u0e01"
TILE = Rect(0, 0, 320, 180)


def warned(message: str) -> None:
    pytest.fail(message)


def plan_of(text: str, name: str = "anna") -> RenderPlan:
    """A room with a text watermark and one user, whose camera never fails."""
    clips = room(seen(StreamId(name, 1), 0, 10))
    job = replace(JOB, mixer=replace(MIXER, watermarks=(TextWatermark(0, 0, 1.0, text),)))
    return make_plan(job, index_of(clips), clips, PlanSettings())


def picture_of(plan: RenderPlan) -> PicturePlan:
    assert plan.picture
    return plan.picture


def test_a_font_is_selected_for_what_the_package_s_fonts_lack(tmp_path: Path) -> None:
    path = make_font(tmp_path / "boxes.ttf")
    plan = plan_of(f"a {KA}")
    assert list(missing_glyph_warnings(plan.picture)) == [
        "no font has U+0915 DEVANAGARI LETTER KA: left out of a text watermark"
    ]
    plan = with_fonts(plan, [tmp_path], warned)
    assert [(font.path, font.number) for font in picture_of(plan).fonts] == [(str(path), 0)]
    assert [font.chars for font in picture_of(plan).fonts] == [KA]
    assert not list(missing_glyph_warnings(plan.picture))


@pytest.mark.parametrize("text", ["Weekly meeting", "\u5468\u4f1a \u0423\u0440\u043e\u043a"])
def test_no_font_is_selected_if_the_package_s_fonts_suffice(tmp_path: Path, text: str) -> None:
    make_font(tmp_path / "boxes.ttf")
    assert picture_of(with_fonts(plan_of(text), [tmp_path], warned)).fonts == ()


def test_names_count_even_while_their_cameras_work(tmp_path: Path) -> None:
    """Any recording may fail while it is composed, and its placeholder be drawn."""
    make_font(tmp_path / "boxes.ttf")
    plan = plan_of("a", name=KA)
    assert not list(missing_glyph_warnings(plan.picture))
    assert len(picture_of(with_fonts(plan, [tmp_path], warned)).fonts) == 1


def test_fonts_are_searched_in_the_order_of_folders_then_of_names(tmp_path: Path) -> None:
    for folder, names in (("z", ["b.ttf", "A.OTF", "notes.txt"]), ("a", ["a.ttf"])):
        (tmp_path / folder).mkdir()
        for name in names:
            make_font(tmp_path / folder / name)
    plan = with_fonts(plan_of(f"{KA}{SSA}{I_SIGN}"), [tmp_path / "z", tmp_path / "a"], warned)
    assert [font.path for font in picture_of(plan).fonts] == [str(tmp_path / "z" / "A.OTF")]


def test_a_file_is_searched_in_its_turn(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    make_font(tmp_path / "folder" / "in it.ttf")
    single = make_font(tmp_path / "single.ttf")
    for places, path in (
        ([single, tmp_path / "folder"], single),
        ([tmp_path / "folder", single], tmp_path / "folder" / "in it.ttf"),
    ):
        plan = with_fonts(plan_of(f"{KA}{SSA}"), places, warned)
        assert [font.path for font in picture_of(plan).fonts] == [str(path)]


def test_a_collection_has_several_faces(tmp_path: Path) -> None:
    collection = TTCollection()
    collection.fonts = [
        TTFont(Path(str(files("owtmix"))) / "fonts" / "DejaVuSans.ttf"),
        TTFont(make_font(tmp_path / "boxes.part")),
    ]
    collection.save(tmp_path / "both.ttc")
    assert [font.number for font in picture_of(with_fonts(plan_of(KA), [tmp_path], warned)).fonts] == [1]


def test_what_cannot_be_used_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.ttf").write_bytes(b"no font")
    (tmp_path / "b.ttf").mkdir()
    make_font(tmp_path / "c.ttf")
    warnings: list[str] = []
    plan = with_fonts(plan_of(KA), [tmp_path], warnings.append)
    assert [Path(font.path).name for font in picture_of(plan).fonts] == ["c.ttf"]
    assert warnings == [f"the font {tmp_path}/b.ttf cannot be read: Is a directory"]


def test_a_pipe_and_a_folder_that_is_gone_are_warnings(tmp_path: Path) -> None:
    make_font(tmp_path / "boxes.ttf")
    os.mkfifo(tmp_path / "a.ttf")
    warnings: list[str] = []
    plan = with_fonts(plan_of(KA), [tmp_path / "gone", tmp_path], warnings.append)
    assert [Path(font.path).name for font in picture_of(plan).fonts] == ["boxes.ttf"]
    assert warnings == [
        f"the fonts in {tmp_path}/gone cannot be read: No such file or directory",
        f"the font {tmp_path}/a.ttf cannot be read: it is not a file",
    ]


def test_the_font_decides_what_is_drawn_and_the_chunk_s_key(tmp_path: Path) -> None:
    make_font(tmp_path / "boxes.ttf")
    bare = plan_of(KA, name=KA)
    plan = with_fonts(bare, [tmp_path], warned)
    versions = InputVersions(["1"], {})
    assert chunk_key(plan, range(25), versions) != chunk_key(bare, range(25), versions)
    for drawn, marks in ((bare, 0), (plan, 1)):
        overlays = Overlays(picture_of(drawn), {}, drawn.epoch_at, "UTC")
        assert len(overlays.watermarks(picture_of(drawn).watermarks, Fraction(0))) == marks


def test_a_font_that_only_other_texts_need_does_not_change_a_chunk_s_key(tmp_path: Path) -> None:
    make_font(tmp_path / "boxes.ttf")
    thai = FontFile("thai.ttf", 0, "digest", THAI)
    versions = InputVersions(["1"], {})
    for text, is_changed in ((KA, False), (KA + THAI, True)):
        plan = with_fonts(plan_of(text), [tmp_path], warned)
        (boxes,) = picture_of(plan).fonts
        more = replace(plan, picture=replace(picture_of(plan), fonts=(thai, replace(boxes, chars=KA + SSA))))
        assert (chunk_key(plan, range(25), versions) != chunk_key(more, range(25), versions)) == is_changed


@pytest.mark.parametrize("text", [f"e\U000e0041{KA}", f"a{KA}\u0301", f"\n{KA}"])
def test_a_text_is_drawn_with_the_fonts_that_it_needs(tmp_path: Path, text: str) -> None:
    make_font(tmp_path / "boxes.ttf")
    (boxes,) = picture_of(with_fonts(plan_of(text), [tmp_path], warned)).fonts
    thai = FontFile("thai.ttf", 0, "digest", THAI)
    assert needed_fonts([text], (thai, boxes)) == (replace(boxes, chars=""),)
    assert needed_fonts(["all ASCII", "\u00e9"], (thai, boxes)) == ()


def test_a_font_that_changed_after_planning_is_an_error(tmp_path: Path) -> None:
    path = make_font(tmp_path / "boxes.ttf")
    plan = with_fonts(plan_of(KA, name=KA), [tmp_path], warned)
    path.write_bytes(path.read_bytes() + b"\0")
    overlays = Overlays(picture_of(plan), {}, plan.epoch_at, "UTC")
    with pytest.raises(RenderError, match="not the one that the job was planned with"):
        overlays.placeholder(StreamId(KA, 1), TILE)
    path.unlink()
    with pytest.raises(RenderError, match=r"cannot be read: .*No such file"):
        overlays.watermarks(picture_of(plan).watermarks, Fraction(0))
