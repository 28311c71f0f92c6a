"""Visual order and glyphs of a line. Characters are escaped, since editors reorder right-to-left text."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from owtmix.compositor.text.fonts import Face, Fonts, own_fonts
from owtmix.compositor.text.letters import MAX_MARKS, clean, is_invisible, split
from owtmix.compositor.text.shaping import Line, lay_out, visual_order
from tests.support.made_font import GLYPHS, I_SIGN, KA, SSA, VIRAMA, make_font

ALEF, BET, GIMEL = "\u05d0", "\u05d1", "\u05d2"
MIRRORED = str.maketrans("()[]{}", ")(][}{")
HEIGHT_PX = 40


def line_of(text: str, fonts: Fonts | None = None) -> Line:
    return lay_out(split(clean(text)), fonts or own_fonts(), HEIGHT_PX)


def glyphs_of(text: str) -> list[int]:
    return [glyph.number for glyph in line_of(text).glyphs]


def nominal(chars: str) -> list[int]:
    """The glyphs of DejaVu Sans without shaping, by its character map."""
    return [line_of(char).glyphs[0].number for char in chars]


def read_from_left(text: str) -> str:
    """The characters in visual order, with brackets mirrored in right-to-left runs."""
    chars = (text[index].translate(MIRRORED) if rtl else text[index] for index, rtl in visual_order(text))
    return "".join(char for char in chars if not is_invisible(char))


@pytest.mark.parametrize(
    ("typed", "drawn"),
    [
        ("alice", "alice"),
        ("\u738b\u5c0f\u660e (1)", "\u738b\u5c0f\u660e (1)"),
        (ALEF + BET + GIMEL, GIMEL + BET + ALEF),
        (f"{ALEF}{BET} 123", f"123 {BET}{ALEF}"),
        (f"{ALEF}{BET} abc", f"abc {BET}{ALEF}"),
        (f"abc {ALEF}{BET}", f"abc {BET}{ALEF}"),
        (f"abc {ALEF}{BET} 12 def", f"abc 12 {BET}{ALEF} def"),
        (f"{ALEF}{BET} (abc)", f"(abc) {BET}{ALEF}"),
        (f"({ALEF}) a", f"a ({ALEF})"),
        (f"{ALEF} 12.5%", f"12.5% {ALEF}"),
        (f"{ALEF} -", f"- {ALEF}"),
        (f"a {ALEF}\u200e!", f"a {ALEF}!"),
        (f"{ALEF} (a) [b 3]", f"[b 3] (a) {ALEF}"),  # brackets go in pairs
        (f"a \u2067{ALEF} b!\u2069 c", f"a !b {ALEF} c"),  # a right-to-left isolate
        (f"a \u202e12\u202c {ALEF}", f"a {ALEF} 21"),  # an override
    ],
)
def test_right_to_left_runs_are_reversed(typed: str, drawn: str) -> None:
    assert read_from_left(typed) == drawn


@given(
    st.text(
        st.sampled_from(f"ab12{ALEF}{BET}\u0644\u0663 .,:+%!()[]<>\u0301\u05b0\u200e\u200f\u202b\u202c\u2067\u2069")
    )
)
def test_order_is_that_of_the_bidirectional_algorithm(text: str) -> None:
    text = f"{text}{ALEF}"  # a text ends in a visible character
    indices = [index for index, _ in visual_order(text)]
    assert sorted(indices) == list(range(len(text)))
    assert "".join(text[index] for index in indices) == get_display(text)


def test_order_of_more_characters_than_there_are_tags() -> None:
    text = f"{ALEF}b" * 6000
    assert len({index for index, _ in visual_order(text)}) == len(text)


@pytest.mark.parametrize(
    ("typed", "drawn"),
    [
        ("\u0645\u062d\u0645\u062f", "\ufeaa\ufee4\ufea4\ufee3"),  # Muhammad: initial, medial, medial, final
        ("\u0639\u0644\u064a", "\ufef2\ufee0\ufecb"),  # Ali
        ("\u062f\u0627\u0631", "\u0631\u0627\u062f"),  # three letters that never join the next one
        ("\u0633\u0644\u0627\u0645", "\u0645\ufefc\ufeb3"),  # lam and alef are one ligature, joined to seen
        ("\u0645\u06cc\u200c\u062e", "\u062e\ufbfd\ufee3"),  # the non-joiner separates yeh and khah
        ("\u0645\u064e\u062f", "\ufeaa\u064e\ufee3"),  # a vowel mark does not separate letters
    ],
)
def test_arabic_letters_join(typed: str, drawn: str) -> None:
    assert glyphs_of(typed) == nominal(drawn)


def test_brackets_in_right_to_left_text_are_mirrored() -> None:
    assert glyphs_of(f"{ALEF}({BET})") == nominal(f"({BET}){ALEF}")


def test_letters_are_kerned() -> None:
    assert line_of("AV").width_px < line_of("A").width_px + line_of("V").width_px


def test_a_mark_stands_higher_on_a_tall_letter() -> None:
    beh, lam, fatha = "\u0628", "\u0644", "\u064e"
    heights = [max(glyph.y for glyph in line_of(letter + fatha).glyphs) for letter in (beh, lam)]
    assert heights[0] < heights[1]


def test_a_conjunct_is_one_glyph_and_a_sign_stands_before_its_letter(tmp_path: Path) -> None:
    face = Face(make_font(tmp_path / "boxes.ttf").read_bytes())
    fonts = Fonts([*own_fonts().faces, face])
    line = line_of(f"a{KA}{VIRAMA}{SSA} {KA}{I_SIGN}", fonts)
    names = [GLYPHS[glyph.number] for glyph in line.glyphs if glyph.face is face]
    assert names == ["kssa", "isign", "ka"]


def test_a_letter_and_its_marks_use_one_font_if_one_has_all(tmp_path: Path) -> None:
    face = Face(make_font(tmp_path / "boxes.ttf").read_bytes())
    fonts = Fonts([*own_fonts().faces, face])
    assert fonts.face_of(f"x{I_SIGN}") is None
    letter, sign = line_of(f"x{I_SIGN}", fonts).glyphs
    assert (letter.face, sign.face) == (own_fonts().faces[0], face)
    assert {glyph.face for glyph in line_of(f"{KA}{I_SIGN}", fonts).glyphs} == {face}


def test_scripts_are_shaped_separately() -> None:
    """DejaVu Sans has Latin and Lao; only Lao shaping splits the sign into a ring above and a vowel."""
    assert len(glyphs_of("a\u0e99\u0eb3")) == len(glyphs_of("a")) + len(glyphs_of("\u0e99\u0eb3")) == 4


def test_clean_makes_one_line_of_composed_characters() -> None:
    assert clean("a\nb\tc\x00d\u2028e") == "a b c d e"
    assert clean("e\u0301") == "\u00e9"
    assert clean("\u1112\u1161\u11ab") == "\ud55c"
    assert clean("\U0001f3f4\U000e0067\U000e007f") == "\U0001f3f4"


def test_marks_beyond_the_limit_are_dropped_before_composing() -> None:
    """Composing alone would take minutes."""
    assert len(clean("a" + "\u0301\u0323" * 500_000)) <= 1 + MAX_MARKS
    assert clean("a" + "\u0334" * 20 + "b\u0334") == "a" + "\u0334" * MAX_MARKS + "b\u0334"


def test_split_keeps_marks_with_their_letter() -> None:
    assert split("x\u0308\u0301yz") == ["x\u0308\u0301", "y", "z"]


def test_a_font_has_a_character_whose_decomposition_it_has() -> None:
    """HarfBuzz decomposes characters that a font lacks."""
    face = own_fonts().faces[0]
    composed = [chr(code) for code in range(0x1E00, 0x2000) if len(unicodedata.normalize("NFD", chr(code))) > 1]
    assert all(map(face.has, composed))
