"""From a text to the glyphs of one line, from left to right.

Unicode's bidirectional algorithm orders the characters (python-bidi), HarfBuzz chooses and places their glyphs. Nothing
here depends on the machine: neither its fonts nor its language.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import uharfbuzz

from owtmix.compositor.text.fonts import UNITS_PER_PX, Face, Fonts

MOST_MARKS: Final = 8
"""More marks on one letter are left out: they can neither be read nor be drawn in bounded time."""

_SPACES: Final = frozenset({"Cc", "Zl", "Zp"})
_TAG: Final = 0xE0020  # tag characters, which the bidirectional algorithm ignores
_TAG_COUNT: Final = 96
_END: Final = "\U000e01ef"  # a variation selector: like any mark, it goes with what stands before it
_RIGHTWARD: Final = frozenset({"L", "EN", "ES", "ET", "CS", "NSM", "BN", "B", "S", "WS", "ON", ""})
_HIDDEN: Final = uharfbuzz.BufferFlags.REMOVE_DEFAULT_IGNORABLES | uharfbuzz.BufferFlags.DO_NOT_INSERT_DOTTED_CIRCLE


class Glyph(NamedTuple):
    """A glyph of a face by its number; its origin in 1/64 pixels right of the line's start and above the baseline."""

    face: Face
    number: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line:
    """A text as glyphs from left to right; its width is how far the pen moves."""

    glyphs: tuple[Glyph, ...]
    width_px: int


class _Item(NamedTuple):
    """A character with what decides how it is shaped; ``script`` is None where it takes that of its neighbours."""

    face: Face
    script: str | None


@dataclass(frozen=True, slots=True)
class _Run:
    """Characters ``start`` to ``stop`` of a line, which are shaped together."""

    start: int
    stop: int
    item: _Item
    leftward: bool


def clean(text: str) -> str:
    """One line of composed characters.

    Controls and line breaks become spaces, tags, which nobody sees, are dropped, and so is what ``MOST_MARKS`` leaves
    out: composing would take hours for thousands of marks on a letter.
    """
    kept = []
    marks = 0
    for char in text:
        marks = marks + 1 if _goes_with_letter(char) else 0
        if marks <= MOST_MARKS and not _is_tag(char) and char != _END:
            kept.append(" " if unicodedata.category(char) in _SPACES else char)
    return unicodedata.normalize("NFC", "".join(kept))


@lru_cache(maxsize=4096)
def is_invisible(char: str) -> bool:
    """Whether ``char`` only steers how its neighbours look or stand, and needs no glyph."""
    return unicodedata.category(char) == "Cf" or "VARIATION SELECTOR" in unicodedata.name(char, "")


def split(text: str) -> list[str]:
    """Cut what ``clean`` returned into letters, each with the marks and invisible characters that follow it."""
    letters: list[str] = []
    for char in text:
        if letters and _goes_with_letter(char):
            letters[-1] += char
        else:
            letters.append(char)
    return letters


def order(text: str) -> list[tuple[int, bool]]:
    """Where the characters of ``text`` stand: from left to right their places in it, and whether they run leftward.

    ``text`` is what ``clean`` returned, and ends in a character that can be seen.

    python-bidi gives a reordered text, not which character went where. So each is followed by its place in three tag
    characters, which the algorithm ignores and which stay with it: on its right, or on its left where it runs
    leftward. The end is marked, since what is ignored at the end of a line stays there.
    """
    if all(unicodedata.bidirectional(char) in _RIGHTWARD for char in text):
        return [(i, False) for i in range(len(text))]
    # Imported here, since most texts need not wait for it.
    from bidi import get_display  # noqa: PLC0415

    shown = get_display("".join(char + _tags(i) for i, char in enumerate(text)) + _END).replace(_END, "")
    places = []
    for i in range(0, len(shown), 4):
        group = shown[i : i + 4]
        leftward = _is_tag(group[0])
        high, middle, low = (ord(tag) - _TAG for tag in (group[2::-1] if leftward else group[1:]))
        places.append(((high * _TAG_COUNT + middle) * _TAG_COUNT + low, leftward))
    return places


def lay_out(letters: Sequence[str], fonts: Fonts, height_px: int) -> Line:
    """Shape and place the glyphs of a line.

    Args:
        letters: What ``split`` returned, or its first part; the last can be seen.
        fonts: In order of preference; what none of them has is left out.
        height_px: Size of the em.

    Every run of one font, script and direction starts on a whole pixel, so that it looks the same everywhere.
    """
    text = "".join(letters)
    items = _itemise(letters, fonts)
    codes = list(map(ord, text))
    glyphs: list[Glyph] = []
    x = 0
    for run in _runs(items, order(text)):
        shaped, advance = _shape(codes, run, height_px)
        glyphs.extend(glyph._replace(x=x + glyph.x) for glyph in shaped)
        x += -(-advance // UNITS_PER_PX) * UNITS_PER_PX
    return Line(tuple(glyphs), x // UNITS_PER_PX)


def _itemise(letters: Sequence[str], fonts: Fonts) -> list[_Item]:
    """Face and script of each character; a letter has its marks from its own face where that has them."""
    faces: list[Face | None] = []
    for letter in letters:
        visible = "".join(char for char in letter if not is_invisible(char))
        face = fonts.face_of(visible)
        faces.extend(face or fonts.face_of(char) for char in letter)
    scripts = [_script(char) for letter in letters for char in letter]
    places = range(len(scripts))
    for before, after in pairwise(places):
        scripts[after] = scripts[after] or scripts[before]
    for after, before in pairwise(reversed(places)):
        scripts[before] = scripts[before] or scripts[after]
    return [_Item(face or fonts.faces[0], script) for face, script in zip(faces, scripts, strict=True)]


def _runs(items: Sequence[_Item], places: Sequence[tuple[int, bool]]) -> list[_Run]:
    """Characters that stand together in the text and on the line, and have one item, from left to right."""
    runs: list[_Run] = []
    for place, leftward in places:
        last = runs[-1] if runs else None
        if (
            last
            and (last.item, last.leftward) == (items[place], leftward)
            and place == (last.start - 1 if leftward else last.stop)
        ):
            runs[-1] = replace(last, start=min(place, last.start), stop=max(place + 1, last.stop))
        else:
            runs.append(_Run(place, place + 1, items[place], leftward))
    return runs


def _shape(codes: Sequence[int], run: _Run, height_px: int) -> tuple[list[Glyph], int]:
    """Glyphs of a run, and how far the pen moves, in 1/64 pixels.

    HarfBuzz sees the characters around the run, since letters also join across the border of two runs.
    """
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints(codes, run.start, run.stop - run.start)
    buffer.flags = _HIDDEN
    buffer.direction = "rtl" if run.leftward else "ltr"
    buffer.script = run.item.script or "Zyyy"
    buffer.language = "und"  # or it would be the machine's
    uharfbuzz.shape(run.item.face.shaper(height_px), buffer)
    glyphs = []
    x = 0
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        if info.codepoint == 0:  # the box for what a font lacks
            continue
        glyphs.append(Glyph(run.item.face, info.codepoint, x + position.x_offset, position.y_offset))
        x += position.x_advance
    return glyphs, x


@lru_cache(maxsize=4096)
def _goes_with_letter(char: str) -> bool:
    return is_invisible(char) or unicodedata.category(char).startswith("M")


def _is_tag(char: str) -> bool:
    return _TAG <= ord(char) < _TAG + _TAG_COUNT


def _tags(place: int) -> str:
    digits = (place // _TAG_COUNT**2, place // _TAG_COUNT % _TAG_COUNT, place % _TAG_COUNT)
    return "".join(chr(_TAG + digit) for digit in digits)


@lru_cache(maxsize=4096)
def _script(char: str) -> str | None:
    """The script of ``char`` in four letters, None for what all scripts share."""
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints([ord(char)])
    buffer.guess_segment_properties()
    return buffer.script or None
