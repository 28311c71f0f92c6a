"""Text for people and terminals, in which nothing hides: control characters and marks are spelled out.

Names, watermarks and messages of libraries come from others. Raw, they could move the cursor, forge a line of the log,
or turn the order of what follows around.
"""

from __future__ import annotations

import re
import unicodedata

_NEXT_LINE = "\n    "
"""Further lines of a message are indented, so that none looks like a message of its own."""


def plain_line(text: str) -> str:
    r"""``text`` on one line, with escapes such as ``\x1b``, ``\u202e`` and ``\n`` for all that cannot be seen.

    These are control characters, marks of direction, width and language, line and paragraph separators, surrogates,
    private and unknown characters. Joiners within names are among them. Blanks of any width are not.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def plain_message(text: str) -> str:
    """``text`` as ``plain_line`` has it, but with its lines, of which all but the first are indented."""
    return _NEXT_LINE.join(map(plain_line, text.split("\n")))


def plain_json(text: str) -> str:
    """JSON text with such characters escaped as JSON does it, so that it still means the same."""
    return text if text.isprintable() else re.sub(r"[^\n -~]", _escaped, text)


def _visible(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if _visible(character) == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
