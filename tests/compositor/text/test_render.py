from __future__ import annotations

import hashlib
from pathlib import Path

import freetype
import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.compositor.text.fonts import Face, Fonts, own_fonts
from owtmix.compositor.text.missing_glyphs import missing_glyphs
from owtmix.compositor.text.render import ELLIPSIS, render_text, text_mask
from tests.support.made_font import KA, make_font

WIDE_PX = 2000


def ink_columns(image: NDArray[np.uint8]) -> tuple[int, int]:
    columns = np.flatnonzero(image[..., 3].any(axis=0))
    return int(columns[0]), int(columns[-1])


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "\u738b\u5c0f\u660e",
        "\u0412\u043b\u0430\u0434\u0438\u043c\u0438\u0440",
        "\ud55c\uad6d\uc5b4",
        "\u30ab\u30bf\u30ab\u30ca",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u062d\u0645\u062f",
        "\u0391\u03b8\u03ae\u03bd\u03b1",
        "Vi\u1ec7t",
    ],
)
def test_every_letter_has_a_glyph_of_its_own(text: str) -> None:
    assert missing_glyphs(text) == ()
    pictures = {text_mask(letter, 40, WIDE_PX).tobytes() for letter in text}
    assert len(pictures) == len(set(text))
    assert text_mask(text, 40, WIDE_PX).any()


def test_white_with_a_dark_edge() -> None:
    image = render_text("H", 48, WIDE_PX)
    solid = image[image[..., 3] == 255][:, 0]
    assert solid.max() == 255
    assert solid.min() == 16
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    left, right = ink_columns(image)
    row = image[image.shape[0] // 2]
    assert row[left : left + 2, 0].max() < 60, "the edge is outside"
    assert row[right - 1 : right + 1, 0].max() < 60


def test_letters_have_the_size_that_was_asked_for() -> None:
    """Capitals of DejaVu Sans are 0.73 em high."""
    rows = np.flatnonzero(text_mask("H", 100, WIDE_PX).any(axis=1))
    assert rows[-1] - rows[0] + 1 == 73


def test_scripts_share_one_baseline_and_one_height() -> None:
    latin, chinese, mixed = (text_mask(text, 40, WIDE_PX) for text in ("a", "\u738b", "a\u738b"))
    assert latin.shape[0] == chinese.shape[0] == mixed.shape[0]
    assert (mixed == np.hstack((latin, chinese))).all()


def test_a_clock_has_the_same_size_at_any_time() -> None:
    sizes = {render_text(f"2026-11-22 14:03:{second:02}", 30, WIDE_PX).shape for second in range(60)}
    assert len(sizes) == 1


def test_missing_glyphs_are_named_once_and_left_out() -> None:
    text = "a\U0001f642b\U0001f44d\U0001f642\ue000\ud800"
    assert missing_glyphs(text) == ("U+1F642 SLIGHTLY SMILING FACE", "U+1F44D THUMBS UP SIGN", "U+E000", "U+D800")
    assert (render_text(text, 30, WIDE_PX) == render_text("ab", 30, WIDE_PX)).all()


def test_characters_without_a_glyph_of_their_own_are_not_missing() -> None:
    assert missing_glyphs("a\nb\t\u200d\u200e\ufe0f\u202a\u00a0") == ()
    assert (render_text("a\u200d\u2066\ufe0f\u202ab", 30, WIDE_PX) == render_text("ab", 30, WIDE_PX)).all()
    assert not text_mask("\U000110bd", 30, WIDE_PX).any(), "a format character for which a font needs a glyph"


def test_controls_and_line_breaks_are_spaces() -> None:
    assert (render_text("a\nb\x07c", 30, WIDE_PX) == render_text("a b c", 30, WIDE_PX)).all()


@pytest.mark.parametrize("text", ["x" * 300, "\u738b" * 300, "\u05d0" * 300, "ab cd " * 100, "x" * 1_000_000])
@pytest.mark.parametrize("width_px", [60, 333])
def test_long_text_is_cut_with_an_ellipsis(text: str, width_px: int) -> None:
    image = render_text(text, 20, width_px)
    assert width_px - 30 <= image.shape[1] <= width_px
    cut = text_mask(text, 20, width_px)
    starts = (text_mask(text[:count].rstrip() + ELLIPSIS, 20, WIDE_PX) for count in range(100))
    assert any(np.array_equal(cut, start) for start in starts)


def test_text_that_just_fits_is_not_cut() -> None:
    width_px = render_text("alice", 30, WIDE_PX).shape[1]
    assert (render_text("alice", 30, width_px) == render_text("alice", 30, WIDE_PX)).all()
    assert render_text("alice", 30, width_px - 1).shape[1] < width_px


@pytest.mark.parametrize(("text", "width_px"), [("", 100), ("\U0001f642", 100), (" \n", 100), ("alice", 5), ("a", -3)])
def test_nothing_to_draw_has_no_width(text: str, width_px: int) -> None:
    image = render_text(text, 30, width_px)
    assert image.shape[1:] == (0, 4)
    assert image.dtype == np.uint8


def test_a_combining_mark_is_centred_above_its_letter() -> None:
    bare, marked = text_mask("x", 60, WIDE_PX), text_mask("x\u0308", 60, WIDE_PX)
    assert marked.shape == bare.shape
    baseline_part = slice(np.flatnonzero(bare.any(axis=1))[0], None)
    assert (marked[baseline_part] == bare[baseline_part]).all()
    above = marked[: baseline_part.start]
    columns = np.flatnonzero(above.any(axis=0))
    assert abs((columns[0] + columns[-1]) - (bare.shape[1] - 1)) <= 4


def test_marks_below_letters_are_drawn_whole() -> None:
    plain, marked = text_mask("q", 40, WIDE_PX), text_mask("q\u0323", 40, WIDE_PX)
    assert marked.shape[0] > plain.shape[0]
    assert (marked[: plain.shape[0]] == plain).all()
    assert marked[-1].any()


def test_a_given_font_draws_what_the_package_s_fonts_lack(tmp_path: Path) -> None:
    fonts = Fonts([*own_fonts().faces, Face(make_font(tmp_path / "boxes.ttf").read_bytes())])
    assert missing_glyphs(KA) == ("U+0915 DEVANAGARI LETTER KA",)
    assert missing_glyphs(KA, fonts) == ()
    assert not text_mask(KA, 40, WIDE_PX).any()
    box = text_mask(KA, 100, WIDE_PX, fonts)
    rows, columns = (np.flatnonzero(box.any(axis=axis)) for axis in (1, 0))
    assert (len(rows), len(columns)) == (70, 28), "0.7 and 0.28 em"
    assert (render_text("alice", 30, WIDE_PX, fonts) == render_text("alice", 30, WIDE_PX)).all()


@pytest.mark.parametrize("data", [b"", b"no font", b"\x00\x01\x00\x00" + bytes(100)])
def test_data_that_is_no_font_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"outlines|FreeType"):
        Face(data)


def test_freetype_is_the_bundled_one() -> None:
    """freetype-py falls back to the system's FreeType if its own is missing."""
    assert Path(freetype.raw.filename).parent == Path(freetype.__file__).parent


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("AV fi 2026 \u738b\u5c0f\u660e", "87e3f591ff08c0a7"),
        ("\u0645\u062d\u0645\u062f (\u05d0) x\u0308\u0301", "c520a983b6b085a9"),
    ],
)
def test_pixels_are_the_same_on_every_machine(text: str, digest: str) -> None:
    """With the pinned libraries. A new digest means other output bytes for the same job: say so in CHANGELOG.md."""
    drawn = render_text(text, 30, WIDE_PX)
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == digest
