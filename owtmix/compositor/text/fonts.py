"""Fonts: the package's own, and files named by a plan."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Final

import freetype
import uharfbuzz

from owtmix.base.errors import RenderError
from owtmix.plan.model import FontFile

UNITS_PER_PX: Final = 64
"""The unit of HarfBuzz and FreeType: 1/64 px."""

_OWN: Final = ("DejaVuSans.ttf", "DroidSansFallback.ttf")
"""In order of preference: DejaVu has alphabets, Droid has Chinese, Japanese and Korean."""

_OUTLINES: Final = frozenset({"glyf", "CFF ", "CFF2"})


class Face:
    """One face of a font file.

    Args:
        data: The file.
        number: Index of the face in the file, from 0; only collections have several.

    Raises:
        ValueError: The data is no font, or the font has bitmaps or colours instead of outlines.
    """

    def __init__(self, data: bytes, number: int = 0) -> None:
        self._data = data
        self._number = number
        self._face = uharfbuzz.Face(data, number)
        coloured = self._face.has_color_layers or self._face.has_color_paint or self._face.has_color_png
        if coloured or _OUTLINES.isdisjoint(self._face.table_tags):
            raise ValueError("no outlines in one colour")
        self._nominal = uharfbuzz.Font(self._face)
        try:
            self.outlines(16)
        except freetype.FT_Exception as error:
            raise ValueError("not a font that FreeType reads") from error

    @lru_cache(maxsize=4096)  # noqa: B019 - faces live as long as the process
    def has(self, char: str) -> bool:
        """Whether the face has a glyph for ``char``, or for all characters of its decomposition (NFD)."""
        spellings = (char, unicodedata.normalize("NFD", char))
        return any(all(self._nominal.get_nominal_glyph(ord(part)) for part in parts) for parts in spellings)

    @lru_cache(maxsize=16)  # noqa: B019
    def shaper(self, height_px: int) -> uharfbuzz.Font:
        """The face for HarfBuzz, with an em of ``height_px``; positions are in 1/64 pixels."""
        font = uharfbuzz.Font(self._face)
        font.scale = (height_px * UNITS_PER_PX, height_px * UNITS_PER_PX)
        return font

    @lru_cache(maxsize=16)  # noqa: B019
    def outlines(self, height_px: int) -> freetype.Face:
        """The face for FreeType, with an em of ``height_px``."""
        face = freetype.Face(BytesIO(self._data), self._number)
        face.set_pixel_sizes(0, height_px)
        return face

    def extent_px(self, height_px: int) -> tuple[int, int]:
        """Ascent and descent of lines, in whole px, both positive."""
        size = self.outlines(height_px).size
        return -(-size.ascender // UNITS_PER_PX), -(size.descender // UNITS_PER_PX)


class Fonts:
    """Faces in order of preference."""

    def __init__(self, faces: Sequence[Face]) -> None:
        self.faces = tuple(faces)

    def face_of(self, chars: str) -> Face | None:
        """The first face that has all of ``chars``, or None."""
        return next((face for face in self.faces if all(map(face.has, chars))), None)


@cache
def own_fonts() -> Fonts:
    """The fonts in the package."""
    return Fonts([Face(files("owtmix").joinpath("fonts", name).read_bytes()) for name in _OWN])


@lru_cache(maxsize=64)
def fonts_of(font_files: tuple[FontFile, ...]) -> Fonts:
    """The package's own fonts, then those of a plan that a text needs.

    Raises:
        RenderError: A file cannot be read, or has changed since the job was planned.
    """
    return Fonts([*own_fonts().faces, *map(_face_of, font_files)]) if font_files else own_fonts()


def faces_in(data: bytes) -> Iterator[tuple[int, Face]]:
    """Each usable face of a font file, with its index."""
    for number in range(uharfbuzz.Face(data).count):
        with suppress(ValueError):
            yield number, Face(data, number)


@lru_cache(maxsize=64)
def _face_of(file: FontFile) -> Face:
    try:
        data = Path(file.path).read_bytes()
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise RenderError(f"the font {file.path} is not the one that the job was planned with: run the job again")
        return Face(data, file.number)
    except (OSError, ValueError) as error:
        raise RenderError(f"the font {file.path} cannot be read: {error}") from error
