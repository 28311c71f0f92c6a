"""Shapes a text into the glyphs of one line, in visual order.

Python-bidi runs the Unicode bidirectional algorithm, HarfBuzz selects and positions glyphs. The result depends neither
on the fonts nor on the locale of the machine.
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
from owtmix.compositor.text.letters import END, TAG, TAG_COUNT, is_invisible, is_tag

_NEVER_RTL: Final = frozenset({"L", "EN", "ES", "ET", "CS", "NSM", "BN", "B", "S", "WS", "ON", ""})
_BUFFER_FLAGS: Final = (
    uharfbuzz.BufferFlags.REMOVE_DEFAULT_IGNORABLES | uharfbuzz.BufferFlags.DO_NOT_INSERT_DOTTED_CIRCLE
)


class Glyph(NamedTuple):
    """Glyph ``number`` of a face; its origin in 1/64 px right of the line's start and above the baseline."""

    face: Face
    number: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line:
    """Glyphs in visual order; the width is the sum of their advances."""

    glyphs: tuple[Glyph, ...]
    width_px: int


class _Item(NamedTuple):
    """Face and script (ISO 15924) of a character; the script is None in a text without any."""

    face: Face
    script: str | None


@dataclass(frozen=True, slots=True)
class _GlyphRun:
    """Characters ``start`` to ``stop`` (exclusive) of a text, shaped together."""

    start: int
    stop: int
    item: _Item
    rtl: bool


def visual_order(text: str) -> list[tuple[int, bool]]:
    """Indices of the characters of ``text`` in visual order, from the left, and whether each is right-to-left.

    ``text`` was cleaned, and ends in a visible character.

    python-bidi returns reordered text without a mapping. So each character is followed by its index in three tag
    characters, which the algorithm ignores and keeps beside it: on the right, or on the left in right-to-left runs. A
    last mark keeps the tags of the last character from being treated as the end of the line.
    """
    if all(unicodedata.bidirectional(char) in _NEVER_RTL for char in text):
        return [(i, False) for i in range(len(text))]
    # Imported here: most texts do not need it.
    from bidi import get_display  # noqa: PLC0415

    reordered = get_display("".join(char + _tags(i) for i, char in enumerate(text)) + END).replace(END, "")
    indices = []
    for i in range(0, len(reordered), 4):
        group = reordered[i : i + 4]
        rtl = is_tag(group[0])
        high, middle, low = (ord(tag) - TAG for tag in (group[2::-1] if rtl else group[1:]))
        indices.append(((high * TAG_COUNT + middle) * TAG_COUNT + low, rtl))
    return indices


def lay_out(letters: Sequence[str], fonts: Fonts, height_px: int) -> Line:
    """Shape and position the glyphs of a line.

    Args:
        letters: A prefix of what ``split`` returned; the last letter is visible.
        fonts: In order of preference; characters that none of them has are left out.
        height_px: Size of the em.

    Each run of one font, script and direction starts on a whole pixel, so that it looks the same everywhere.
    """
    text = "".join(letters)
    items = _itemise(letters, fonts)
    codes = list(map(ord, text))
    glyphs: list[Glyph] = []
    x = 0
    for run in _runs(items, visual_order(text)):
        shaped, advance = _shape(codes, run, height_px)
        glyphs.extend(glyph._replace(x=x + glyph.x) for glyph in shaped)
        x += -(-advance // UNITS_PER_PX) * UNITS_PER_PX
    return Line(tuple(glyphs), x // UNITS_PER_PX)


def _itemise(letters: Sequence[str], fonts: Fonts) -> list[_Item]:
    """Face and script of each character; marks use the face of their letter if it has them."""
    faces: list[Face | None] = []
    for letter in letters:
        visible = "".join(char for char in letter if not is_invisible(char))
        face = fonts.face_of(visible)
        faces.extend(face or fonts.face_of(char) for char in letter)
    scripts = [_script(char) for letter in letters for char in letter]
    indices = range(len(scripts))
    for before, after in pairwise(indices):
        scripts[after] = scripts[after] or scripts[before]
    for after, before in pairwise(reversed(indices)):
        scripts[before] = scripts[before] or scripts[after]
    return [_Item(face or fonts.faces[0], script) for face, script in zip(faces, scripts, strict=True)]


def _runs(items: Sequence[_Item], indices: Sequence[tuple[int, bool]]) -> list[_GlyphRun]:
    """Runs in visual order: characters that are adjacent in the text and on the line, and have equal items."""
    runs: list[_GlyphRun] = []
    for index, rtl in indices:
        last = runs[-1] if runs else None
        if last and (last.item, last.rtl) == (items[index], rtl) and index == (last.start - 1 if rtl else last.stop):
            runs[-1] = replace(last, start=min(index, last.start), stop=max(index + 1, last.stop))
        else:
            runs.append(_GlyphRun(index, index + 1, items[index], rtl))
    return runs


def _shape(codes: Sequence[int], run: _GlyphRun, height_px: int) -> tuple[list[Glyph], int]:
    """Glyphs of a run, and its advance in 1/64 px.

    HarfBuzz gets the characters around the run as context: letters join across runs.
    """
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints(codes, run.start, run.stop - run.start)
    buffer.flags = _BUFFER_FLAGS
    buffer.direction = "rtl" if run.rtl else "ltr"
    buffer.script = run.item.script or "Zyyy"
    buffer.language = "und"  # the default is the machine's
    uharfbuzz.shape(run.item.face.shaper(height_px), buffer)
    glyphs = []
    x = 0
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        if info.codepoint == 0:  # .notdef
            continue
        glyphs.append(Glyph(run.item.face, info.codepoint, x + position.x_offset, position.y_offset))
        x += position.x_advance
    return glyphs, x


def _tags(index: int) -> str:
    digits = (index // TAG_COUNT**2, index // TAG_COUNT % TAG_COUNT, index % TAG_COUNT)
    return "".join(chr(TAG + digit) for digit in digits)


@lru_cache(maxsize=4096)
def _script(char: str) -> str | None:
    """The script of ``char`` (ISO 15924), None for characters common to all scripts."""
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints([ord(char)])
    buffer.guess_segment_properties()
    return buffer.script or None
