"""Texts of one kind of character each, which parsers may take the square of."""

from __future__ import annotations

from typing import Final

MIB: Final = 1 << 20

KINDS: Final = {
    "digits": "1",
    "letters": "a",
    "quotes": '"',
    "single quotes": "'",
    "backslashes": "\\",
    "brackets": "[",
    "closing brackets": "]",
    "braces": "{",
    "commas": ",",
    "commas and spaces": ", ",
    "marks": "\u0301",
    "marks in disorder": "\u0301\u0316",
    "composed with marks": "\u1e9b\u0323",
    "bidi marks": "\u202e",
    "isolates": "\u2067\u05d0",
    "controls": "\x01",
    "NULs": "\0",
    "Chinese": "\u4e2d",
    "Hangul": "\u1100\u1161",
    "Arabic": "\u0628",
    "emoji": "\U0001f468\u200d",
    "halves of surrogates": "\\ud800",
    "spaces": " ",
    "newlines": "\n",
    "tabs": "\t",
    "exponents": "1e9",
    "minus signs": "-",
    "dots": ".",
    "variables": "$RoomId",
    "percent escapes": "%41",
    "underscores": "_",
    "slashes": "/",
    "folders": "./",
    "colons": ":",
    "at signs": "@",
    "addresses": "http://",
    "choices": "1/",
    "empty keys": '"":',
    "objects": '{"a":',
    "job ids": '"JobId":"',
    "sections": '"Internal":{',
    "secret keys": "Token",
}


def filled(kind: str, size: int = MIB) -> str:
    """A text of one kind, of up to ``size`` bytes in UTF-8."""
    unit = KINDS[kind]
    return unit * (size // len(unit.encode()))
