"""What is spelled out in text for people."""

from __future__ import annotations

import json
import unicodedata
from itertools import chain

import pytest

from owtmix.base.plain_text import plain_json, plain_line, plain_message

HIDDEN = [
    *map(chr, chain(range(32), range(127, 160))),  # C0, DEL and C1
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",  # marks of direction
    *"\u2028\u2029",  # separators of lines and paragraphs
    *"\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\ufeff\ufff9\ufffb",  # no or unknown width
    *"\U000e0001\U000e0041\U000e007f",  # tags
    *"\ud800\udfff\udcff",  # halves of pairs
    *"\ue000\uffff\U0010ffff",  # private, and no characters
]
SEEN = ["alice", "王小明", "Zoë", "é", "עברית", "مرحبا", "👩🏽", "a b", "全\u3000角", "\u00a0", "\\x1b", '"']


@pytest.mark.parametrize("character", [c for c in HIDDEN if unicodedata.category(c) != "Mn"], ids=ascii)
def test_what_cannot_be_seen_is_spelled_out(character: str) -> None:
    shown = plain_line(f"a{character}b")
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == f"a{character}b"
    assert plain_line(shown) == shown, "once is enough"
    text = plain_json(json.dumps([f"a{character}b"], ensure_ascii=False))
    assert text.isascii()
    assert json.loads(text) == [f"a{character}b"]


@pytest.mark.parametrize("text", SEEN)
def test_what_can_be_seen_stays(text: str) -> None:
    assert plain_line(text) == plain_message(text) == plain_json(text) == text


def test_further_lines_of_a_message_do_not_look_like_messages() -> None:
    forged = "a.webm\n2026-11-26 10:00:00 error: forged\r\x1b[2K"
    assert plain_message(forged) == "a.webm\n    2026-11-26 10:00:00 error: forged\\r\\x1b[2K"
    assert plain_line(forged) == "a.webm\\n2026-11-26 10:00:00 error: forged\\r\\x1b[2K"


def test_the_lines_of_json_stay() -> None:
    text = json.dumps({"a": ["\u202e", "\n"]}, indent=2, ensure_ascii=False)
    assert plain_json(text) == '{\n  "a": [\n    "\\u202e",\n    "\\n"\n  ]\n}'
