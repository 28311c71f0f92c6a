"""Order and forms of the characters of a line; escaped, since editors turn right-to-left text round."""

from __future__ import annotations

import unicodedata

import pytest

from owtmix.compositor.text.fonts import face_of
from owtmix.compositor.text.shaping import clean, split, visual

ALEF, BET, GIMEL = "\u05d0", "\u05d1", "\u05d2"


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
    ],
)
def test_right_to_left_runs_are_turned_round(typed: str, drawn: str) -> None:
    assert visual(typed) == drawn


@pytest.mark.parametrize(
    ("typed", "drawn"),
    [
        ("\u0645\u062d\u0645\u062f", "\ufeaa\ufee4\ufea4\ufee3"),  # Muhammad: initial, medial, medial, final
        ("\u0639\u0644\u064a", "\ufef2\ufee0\ufecb"),  # Ali
        ("\u062f\u0627\u0631", "\ufead\ufe8d\ufea9"),  # three letters that never join onwards
        ("\u0633\u0644\u0627\u0645", "\ufee1\ufefc\ufeb3"),  # lam and alef are one glyph, joined to the seen
        ("\u0645\u06cc\u200c\u062e", "\ufea5\ufbfd\ufee3"),  # the non-joiner parts yeh and khah
        ("\u0645\u064e\u062f", "\ufeaa\u064e\ufee3"),  # a vowel mark does not part letters
    ],
)
def test_arabic_letters_join(typed: str, drawn: str) -> None:
    assert visual(typed) == drawn


def test_clean_makes_one_line_of_composed_characters() -> None:
    assert clean("a\nb\tc\x00d\u2028e") == "a b c d e"
    assert clean("e\u0301") == "\u00e9"
    assert clean("\u1112\u1161\u11ab") == "\ud55c"
    assert clean("\u2764\ufe0f\ufeffx\u202e") == "\u2764x"


def test_split_keeps_marks_with_their_letter() -> None:
    assert split("x\u0308\u0301yz") == ["x\u0308\u0301", "y", "z"]


def test_a_font_that_has_a_letter_has_its_joined_forms() -> None:
    """Or a form that ``visual`` chooses would be drawn as an empty box."""
    for code in (*range(0xFB50, 0xFDD0), *range(0xFE70, 0xFEFD)):
        letters = unicodedata.decomposition(chr(code)).split()[1:]
        if len(letters) == 1 and face_of(chr(int(letters[0], 16))):
            assert face_of(chr(code)), f"U+{code:04X}"
