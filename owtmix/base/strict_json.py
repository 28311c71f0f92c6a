"""Strict JSON for files that people write: exact numbers, no duplicate keys, and errors that say what to write."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from owtmix.base.plain_text import plain_line

MAX_DEPTH: Final = 64
MAX_COMMAS: Final = 1_000_000
"""Limits the memory that parsing takes. An index of 10,000 files has about 50,000 commas."""
MAX_DIGITS: Final = 40
"""Of a number. Its exponent may have two; exact arithmetic with larger ones takes for ever."""

SECRET_KEYS: Final = frozenset({"Endpoint", "Image", "NotifyUrl", "PublicKey", "SecretKey", "Token"})
"""Keys whose values are never shown. URLs are included: often one is itself the credential."""

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""A control character (C0, DEL or C1)."""

SHOWN_CHARACTERS: Final = 80
"""Of a value in a message."""

Loc = tuple[str | int, ...]
"""Location of a value: keys and list positions from the root."""

_DECODER: Final = json.JSONDecoder(parse_float=Decimal)
_TOKEN = re.compile(
    rf"""
      (?: [^"\[\]{{}}NI\d.-]++ | "[^"\\\n]*+"(?!\s*+:) )++
    | (?P<string>"(?:[^"\\\n]|\\.)*+") (?P<colon>\s*+:)?
    | (?P<open>[\[{{]) | (?P<close>[\]}}])
    | (?P<constant>NaN|-?Infinity)
    | (?P<huge>(?<![\d.])(?:[\d.]{{{MAX_DIGITS + 1},}}|[\d.]+[eE][+-]?\d{{3,}}))
    | (?P<unclosed>")
    """,
    re.VERBOSE,
)
_CHOICE = re.compile(r"(?<!\d)\d+(?:[ \t]*/[ \t]*\d+)+")
_SIGNING_KEY = re.compile(r"whsec_[^\s'\"]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TRAILING_COMMA = re.compile(r",\s*(?=[}\]])")
_PLAIN_KEY = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_-]*")

_PARSER_MESSAGES: Final = {
    "Expecting property name": 'a key in double quotes is expected here, or the closing "}"',
    "Expecting ':'": "a colon is expected after the key",
    "Expecting ','": "a comma is missing before this, or a bracket is not closed",
    "Expecting value": "a value is expected here: text in double quotes, a number, true, false, null, {...} or [...]",
    "Extra data": "the JSON ends before this; remove what follows, or a bracket too many",
    "Unterminated string": "the closing double quote of this text is missing",
    "Invalid control character": "a line break or tab stands inside a text; perhaps its closing quote is missing",
    "Invalid \\": "a backslash inside a text is written twice: \\\\",
}
_NOT_JSON: Final = {
    "//": "JSON has no comments; remove this one",
    "/*": "JSON has no comments; remove this one",
    "#": "JSON has no comments; remove this one",
    "'": "JSON has double quotes, not single ones",
    "...": '"..." stands for left-out lines in the API document; write real values here, or remove it',
    "True": "write true instead of True",
    "False": "write false instead of False",
    "None": "write null instead of None",
}


class JsonError(ValueError):
    """The bytes are not valid JSON. The message has line, column and what stands there in words.

    It quotes nothing: in a broken document nobody can tell what belongs to a secret, nor is every document meant to be
    read by who sees the message.
    """


def read_object(data: bytes, *, max_bytes: int) -> dict[str, Any]:
    """Parse one JSON object from UTF-8, with or without a byte order mark.

    Numbers become ``int`` or, with a point or an exponent, ``Decimal``, of at most ``MAX_DIGITS`` digits and a point,
    and an exponent of two. Duplicate keys, NaN, Infinity, lone surrogates, more than ``max_bytes`` bytes or
    ``MAX_COMMAS`` commas, and nesting deeper than ``MAX_DEPTH`` are errors.

    Raises:
        JsonError: ``data`` is not such an object. Neither the error nor its context contains the text.
    """
    if len(data) > max_bytes:
        raise JsonError(f"the file has {len(data):,} bytes; at most {max_bytes:,} are accepted")
    text = _decode(data)
    if not text.strip():
        raise JsonError("the file is empty; a JSON object {...} is expected")
    if text.count(",") > MAX_COMMAS:
        raise JsonError(f"the file has more than {MAX_COMMAS:,} commas; no job or index needs so many")
    _check_tokens(text)
    value = _parse(text)
    if not isinstance(value, dict):
        raise JsonError(f"found {kind_of(value)}; a JSON object {{...}} is expected")
    return value


def shown(value: object) -> str:
    """Format a JSON value for a message: at most 80 printable characters of a text, and its length if it has more.

    Objects and lists are shown without their content.
    """
    if isinstance(value, dict):
        return "an object {...}"
    if isinstance(value, list):
        return "a list [...]"
    if isinstance(value, Decimal):
        return str(value)
    text = printable(json.dumps(value, ensure_ascii=False), SHOWN_CHARACTERS)
    return f"{text} of {len(value):,} characters" if isinstance(value, str) and len(value) > SHOWN_CHARACTERS else text


def kind_of(value: object) -> str:
    """What a JSON value is, without any of it."""
    if isinstance(value, bool) or value is None:
        return "true, false or null"
    if isinstance(value, (dict, list)):
        return shown(value)
    return "text" if isinstance(value, str) else "a number"


def printable(text: str, limit: int) -> str:
    """Shorten ``text`` to ``limit`` characters, spell out what cannot be seen, and remove credentials.

    These are what stands before an ``@`` in a URL, whatever characters it has, and keys that signatures are made with.
    """
    scheme, at = text.find("://"), text.rfind("@")
    text = f"{text[:scheme]}://***{text[at:]}" if 0 <= scheme < at else text
    text = _SIGNING_KEY.sub("whsec_***", text)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return plain_line(text)


def json_path(loc: Sequence[str | int]) -> str:
    """``("Data", "LayoutConfig", 1, 0)`` becomes ``Data.LayoutConfig[1][0]``."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        else:
            path += f"[{shown(part)}]"
    return path


def _decode(data: bytes) -> str:
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in data[:4]:
        raise JsonError("the file is UTF-16 or UTF-32; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = error.start
    # Raised outside of "except": the decoding error holds the bytes with their secrets; it must not be the context.
    line = data.count(b"\n", 0, position) + 1
    raise JsonError(f"line {line}: this is not UTF-8; save the file as UTF-8")


def _check_tokens(text: str) -> None:
    """Reject what ``json`` accepts or cannot survive, such as deep nesting. Leaves syntax errors to the parser."""
    keys_of_open: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "unclosed":
                return
            case "close" if not keys_of_open:
                return
            case "open":
                keys_of_open.append(set())
                if len(keys_of_open) > MAX_DEPTH:
                    raise _error(text, token.start(), f"nested deeper than {MAX_DEPTH} levels")
            case "close":
                keys_of_open.pop()
            case "constant":
                raise _error(text, token.start(), f"{token.group()} is not a JSON number")
            case "huge":
                raise _error(
                    text,
                    token.start(),
                    f"this number has more digits than any that is accepted: {MAX_DIGITS}, and 2 in its exponent",
                )
            case "string" | "colon":
                _check_string(text, token, keys_of_open)


def _check_string(text: str, token: re.Match[str], keys_of_open: list[set[str]]) -> None:
    literal: str = token["string"]
    content = _unescaped(literal) if "\\" in literal else literal[1:-1]
    if content is None:
        return
    if "\\" in literal and _SURROGATE.search(content):
        raise _error(text, token.start(), "this text has half of a surrogate pair without the other half")
    if token["colon"] and keys_of_open:
        if content in keys_of_open[-1]:
            raise _error(text, token.start(), "this key stands twice in the same object; remove one")
        keys_of_open[-1].add(content)


def _unescaped(literal: str) -> str | None:
    """Decode a string literal with escapes; None when one is invalid."""
    try:
        return str(json.loads(literal, strict=False))
    except json.JSONDecodeError:
        return None


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        position, reason = error.pos, error.msg
    # Raised outside of "except": the parser's error holds the text with its secrets; it must not be the context.
    raise _error(text, *_explain(text, position, reason))


def _explain(text: str, position: int, reason: str) -> tuple[int, str]:
    """Position and message of a syntax error. The message says what to write instead."""
    line_start = text.rfind("\n", 0, position) + 1
    for choice in _CHOICE.finditer(text, line_start):
        if choice.start() <= position <= choice.end():
            return choice.start(), "numbers with slashes, such as 0/1/2, list the choices; write one of them"
        if choice.start() > position:
            break
    comma = len(text[: position + 1].rstrip("}] \t\r\n")) - 1
    if comma >= 0 and (trailing := _TRAILING_COMMA.match(text, comma)) and position <= trailing.end():
        return comma, "the comma after the last entry is not JSON; remove it"
    for start, message in _NOT_JSON.items():
        if text.startswith(start, position):
            return position, message
    if not text[position:].strip():
        return len(text.rstrip()), "the file ends too early; a closing bracket or quote is missing"
    return position, next((words for start, words in _PARSER_MESSAGES.items() if reason.startswith(start)), reason)


def _error(text: str, position: int, message: str) -> JsonError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return JsonError(f"line {line}, column {column}: {message} (found: {_found(text, position)})")


def _found(text: str, position: int) -> str:
    """The kind of what stands at ``position``."""
    character = text[position : position + 1]
    if not character:
        return "the end of the file"
    if character in "{}[]:,":
        return character
    named = {'"': "a double quote", "'": "a single quote", "\n": "the end of the line"}
    if character in named:
        return named[character]
    if CONTROL.match(character):
        return "a control character"
    return "a digit" if character.isdigit() else "a letter" if character.isalpha() else "another character"
