"""From characters as they are typed to glyph characters as they stand from left to right.

Arabic letters take their joined forms, right-to-left runs are turned round by the rules of Unicode Standard Annex 9
(one line, without explicit embeddings and bracket pairs). It is done here since Pillow does it on some machines only.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

_JOINERS: Final = "\u0640\u200d"  # tatweel, zero width joiner: what stands beside them takes a joined form
_INVISIBLE: Final = frozenset("\u200c\u200d\u200e\u200f")  # they steer joining and direction
_LAM: Final = "\u0644"
_ALEFS: Final = frozenset("\u0622\u0623\u0625\u0627")
_PRESENTATION_FORMS: Final = (range(0xFB50, 0xFDD0), range(0xFE70, 0xFEFD))
_FORM_NAMES: Final = {
    (False, False): "<isolated>",
    (False, True): "<initial>",
    (True, False): "<final>",
    (True, True): "<medial>",
}
_MIRRORED: Final = str.maketrans("()[]{}<>«»", ")(][}{><»«")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
# One letter per Unicode bidirectional class, so that the rules are substitutions; classes not named are neutral.
_CLASS_LETTERS: Final = {
    "L": "L",
    "R": "R",
    "AL": "A",
    "EN": "e",
    "AN": "n",
    "ES": "s",
    "ET": "t",
    "CS": "c",
    "NSM": "m",
    "BN": "m",
}


def clean(text: str) -> str:
    """One line of composed characters: controls become spaces, what only selects among glyphs of others is dropped."""
    kept = []
    for char in unicodedata.normalize("NFC", text):
        category = unicodedata.category(char)
        if category in {"Cc", "Zl", "Zp"}:
            kept.append(" ")
        elif char in _INVISIBLE or not (category == "Cf" or _is_variation_selector(char)):
            kept.append(char)
    return "".join(kept)


def is_invisible(char: str) -> bool:
    """Whether ``char`` only steers its neighbours and needs no glyph."""
    return char in _INVISIBLE


def split(text: str) -> list[str]:
    """Cut ``text`` into letters, each with the marks that belong to it."""
    letters: list[str] = []
    for char in text:
        if letters and _is_mark(char):
            letters[-1] += char
        else:
            letters.append(char)
    return letters


def visual(text: str) -> str:
    """What ``clean`` returned, as glyph characters from left to right."""
    turned = _reorder(_shape(text))
    return "".join(char for char in turned if char not in _INVISIBLE)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


def _is_variation_selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


@cache
def _forms() -> dict[tuple[str, str], str]:
    """Presentation form by letter (or lam and alef) and form name, as the Unicode database decomposes them."""
    forms: dict[tuple[str, str], str] = {}
    for code in (code for block in _PRESENTATION_FORMS for code in block):
        name, _, letters = unicodedata.decomposition(chr(code)).partition(" ")
        plain = "".join(chr(int(letter, 16)) for letter in letters.split())
        if len(plain) == 1 or (plain[:1] == _LAM and plain[1:] in _ALEFS):
            forms.setdefault((plain, name), chr(code))
    return forms


def _shape(text: str) -> str:
    """Replace Arabic letters by the forms that join their neighbours."""
    clusters: list[tuple[str, str]] = []  # letters and their marks
    for cluster in split(text):
        letter, marks = cluster[0], cluster[1:]
        if letter in _ALEFS and clusters and clusters[-1][0] == _LAM:
            clusters[-1] = (_LAM + letter, clusters[-1][1] + marks)
        else:
            clusters.append((letter, marks))
    leans_back = [False, *(_has_form(letters, "<final>") for letters, _ in clusters), False]
    leans_on = [False, *(_has_form(letters, "<initial>") for letters, _ in clusters), False]
    shaped = []
    for i, (letters, marks) in enumerate(clusters, start=1):
        joined = (leans_on[i - 1] and leans_back[i], leans_on[i] and leans_back[i + 1])
        shaped.append(_forms().get((letters, _FORM_NAMES[joined]), letters) + marks)
    return "".join(shaped)


def _has_form(letters: str, name: str) -> bool:
    return letters in _JOINERS or (letters, name) in _forms()


def _reorder(text: str) -> str:
    """Turn right-to-left runs round; the first strong character sets the direction of the line."""
    classes = [unicodedata.bidirectional(char) for char in text]
    if _RIGHT_TO_LEFT.isdisjoint(classes):
        return text
    base = next((kind for kind in classes if kind in {"L", "R", "AL"}), "L")[0].replace("A", "R")
    levels = _levels(base + "".join(_CLASS_LETTERS.get(kind, " ") for kind in classes) + base, base)
    chars = [char.translate(_MIRRORED) if level == 1 else char for char, level in zip(text, levels, strict=True)]
    for lowest in (2, 1):  # the inner runs first, rule L2
        for run in re.finditer(r"2+" if lowest == 2 else r"[12]+", "".join(map(str, levels))):  # noqa: PLR2004
            chars[run.start() : run.end()] = reversed(chars[run.start() : run.end()])
    return "".join(chars)


def _levels(classes: str, base: str) -> list[int]:
    """Embedding level of each character between the two that stand for the line's ends."""

    def turn(pattern: str, letter: str) -> None:
        nonlocal classes
        classes = re.sub(pattern, lambda found: letter * len(found[0]), classes)

    def rename(pattern: str, old: str, new: str) -> None:
        nonlocal classes
        classes = re.sub(pattern, lambda found: found[0].replace(old, new), classes)

    classes = re.sub(r"([^m])(m+)", lambda found: found[1] * len(found[0]), classes)  # W1
    rename(r"A[^LRA]*", "e", "n")  # W2
    turn(r"A", "R")  # W3
    turn(r"(?<=e)[sc](?=e)", "e")  # W4
    turn(r"(?<=n)c(?=n)", "n")
    turn(r"t+(?=e)|(?<=e)t+", "e")  # W5
    turn(r"[stc]", " ")  # W6
    rename(r"L[^LR]*", "e", "L")  # W7
    turn(r"(?<=L) +(?=L)", "L")  # N1
    turn(r"(?<=[Ren]) +(?=[Ren])", "R")
    turn(r" ", base)  # N2
    of_class = {"L": 0 if base == "L" else 2, "R": 1, "e": 2, "n": 2}
    return [of_class[letter] for letter in classes[1:-1]]
