"""The letters of a text, whatever fonts there are."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

MAX_MARKS: Final = 8
"""Combining marks kept per letter: more are unreadable, and take unbounded time to draw."""

_CONTROL_CATEGORIES: Final = frozenset({"Cc", "Zl", "Zp"})
TAG: Final = 0xE0020  # tag characters; the bidirectional algorithm ignores them
TAG_COUNT: Final = 96
END: Final = "\U000e01ef"  # a variation selector: like any mark, it stays with the character before it


def clean(text: str) -> str:
    """Normalise to one line in NFC.

    Controls and line breaks become spaces; tag characters, and marks beyond ``MAX_MARKS`` per letter, are dropped
    first: composing thousands of marks on a letter would take hours.
    """
    kept = []
    marks = 0
    for char in text:
        marks = marks + 1 if _extends_letter(char) else 0
        if marks <= MAX_MARKS and not is_tag(char) and char != END:
            kept.append(" " if unicodedata.category(char) in _CONTROL_CATEGORIES else char)
    return unicodedata.normalize("NFC", "".join(kept))


@lru_cache(maxsize=4096)
def is_invisible(char: str) -> bool:
    """Whether ``char`` is a format character or a variation selector, and needs no glyph."""
    return unicodedata.category(char) == "Cf" or "VARIATION SELECTOR" in unicodedata.name(char, "")


def split(text: str) -> list[str]:
    """Split cleaned text into letters, each with the marks and invisible characters that follow it."""
    letters: list[str] = []
    for char in text:
        if letters and _extends_letter(char):
            letters[-1] += char
        else:
            letters.append(char)
    return letters


def is_tag(char: str) -> bool:
    return TAG <= ord(char) < TAG + TAG_COUNT


@lru_cache(maxsize=4096)
def _extends_letter(char: str) -> bool:
    return is_invisible(char) or unicodedata.category(char).startswith("M")
