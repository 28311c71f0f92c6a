"""Which characters no font has. No arrays are loaded: a job is planned without them."""

from __future__ import annotations

import unicodedata

from owtmix.compositor.text.fonts import Fonts, own_fonts
from owtmix.compositor.text.letters import clean, is_invisible


def missing_chars(text: str, fonts: Fonts | None = None) -> tuple[str, ...]:
    """The characters of ``text`` that no font has, each once, in order; ``render_text`` leaves them out.

    ``fonts`` are the package's own by default.
    """
    fonts = fonts or own_fonts()
    return tuple(char for char in dict.fromkeys(clean(text)) if not is_drawable(char, fonts))


def missing_glyphs(text: str, fonts: Fonts | None = None) -> tuple[str, ...]:
    """``missing_chars`` by code point and name: ``U+1F642 SLIGHTLY SMILING FACE``."""
    return tuple(f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip() for char in missing_chars(text, fonts))


def is_drawable(char: str, fonts: Fonts) -> bool:
    """Whether a font has ``char``, or nothing is seen of it."""
    return is_invisible(char) or fonts.face_of(char) is not None
