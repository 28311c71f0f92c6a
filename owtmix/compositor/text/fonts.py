"""The fonts that travel with the package: which one has a character, and how it is drawn at a size."""

from __future__ import annotations

import struct
from bisect import bisect_right
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Final

from PIL import ImageFont

FACES: Final = ("DejaVuSans.ttf", "DroidSansFallback.ttf")
"""In order of preference: DejaVu has the alphabets, Droid Chinese, Japanese and Korean."""

_UNICODE_FULL: Final = (3, 10)  # cmap platform and encoding: Windows, UCS-4


@cache
def face_of(char: str) -> str | None:
    """The first of ``FACES`` that has a glyph for ``char``, or None."""
    return next((face for face in FACES if _covers(face, ord(char))), None)


@lru_cache(maxsize=64)
def font(face: str, height_px: int) -> ImageFont.FreeTypeFont:
    """``face`` with an em of ``height_px``.

    Pillow's own layout is pinned: it uses Raqm only where the machine has FriBidi, and then measures otherwise.
    """
    return ImageFont.truetype(BytesIO(_data(face)), height_px, layout_engine=ImageFont.Layout.BASIC)


@cache
def _data(face: str) -> bytes:
    return files("owtmix").joinpath("fonts", face).read_bytes()


def _covers(face: str, code: int) -> bool:
    starts, ends = _coverage(face)
    i = bisect_right(starts, code) - 1
    return i >= 0 and code <= ends[i]


@cache
def _coverage(face: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last code points of the ranges that the font's format 12 character map lists, in order."""
    data = _data(face)
    table_count = struct.unpack_from(">H", data, 4)[0]
    tables = {tag: offset for tag, _, offset, _ in struct.iter_unpack(">4sIII", data[12 : 12 + 16 * table_count])}
    cmap = tables[b"cmap"]
    map_count = struct.unpack_from(">H", data, cmap + 2)[0]
    records = struct.iter_unpack(">HHI", data[cmap + 4 : cmap + 4 + 8 * map_count])
    full = cmap + next(offset for platform, encoding, offset in records if (platform, encoding) == _UNICODE_FULL)
    group_count = struct.unpack_from(">I", data, full + 12)[0]
    groups = list(struct.iter_unpack(">III", data[full + 16 : full + 16 + 12 * group_count]))
    return tuple(start for start, _, _ in groups), tuple(end for _, end, _ in groups)
