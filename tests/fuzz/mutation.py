"""Random mutations of valid files and documents."""

from __future__ import annotations

import json
import struct
from copy import deepcopy
from random import Random
from typing import Any, Final

HEADER_BYTES: Final = 4096
"""Most data that controls a demuxer is within this distance of either end."""

NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    0.1,
    1e300,
    10**30,
    "",
    "0",
    "1/0",
    "-1/3",
    "x" * 3000,
    "../..",
    "\x1b[31m",
    "a\nb",
    "\ud83d\ude00",
    "é_1",
    [],
    {},
    [[[]]],
    {"": {"": 0}},
)
"""Replacements of a value."""

CHARACTERS: Final = '{}[],:"\\/0123456789eE+-.nulltruefalse \t\n\x00\x1b\x7fé'


def mutate(data: bytes, chance: Random) -> bytes:
    """Apply one to four mutations to ``data``."""
    for _ in range(chance.randint(1, 4)):
        data = chance.choice((_flip, _truncate, _remove, _repeat, _swap, _overwrite, _renumber))(data, chance)
    return data


def mutate_document(document: Any, chance: Random) -> Any:
    """A copy of JSON values with one to four of them changed, removed, repeated or moved."""
    document = deepcopy(document)
    for _ in range(chance.randint(1, 4)):
        parents = list(_containers(document))
        parent = chance.choice(parents)
        if not parent:
            continue
        key: Any = chance.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        match chance.randrange(5):
            case 0:
                del parent[key]
            case 1:
                parent[key] = deepcopy(chance.choice(VALUES))
            case 2:
                parent[key] = _altered(parent[key], chance)
            case 3 if isinstance(parent, dict):
                parent[chance.choice((f"{key}x", str(key).lower(), "X", "$schema"))] = parent.pop(key)
            case 3:
                parent *= chance.choice((2, 100))
            case _:
                parent[key] = deepcopy(chance.choice(parents))
    return document


def mutate_text(document: Any, chance: Random) -> bytes:
    """Serialize a document, sometimes as invalid JSON."""
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, 2)))
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randrange(len(text) + 1)
        text = (
            text[:at] + "".join(chance.choices(CHARACTERS, k=chance.randint(0, 3))) + text[at + chance.randint(0, 3) :]
        )
    data = text.encode(errors="surrogatepass")
    return mutate(data, chance) if chance.random() < 0.1 else data


def _containers(value: Any) -> list[Any]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return own + [found for child in children for found in _containers(child)]


def _altered(value: Any, chance: Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return chance.choice((-value, value + 1, value * 1000, value / 1000, str(value)))
    if isinstance(value, str):
        return chance.choice((value * 2, value[:-1], value + "\x7f", value.upper(), f"{value}_1", [value]))
    return [value]


def _place(data: bytes, chance: Random) -> int:
    """A random position, mostly in the header or the trailer."""
    length = len(data)
    start, end = chance.choice(((0, length), (0, HEADER_BYTES), (length - HEADER_BYTES, length)))
    return chance.randint(max(0, start), max(0, min(length, end) - 1))


def _flip(data: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 4, 60)) if data else 0):
        changed[_place(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, chance: Random) -> bytes:
    return data[: _place(data, chance)]


def _block(data: bytes, chance: Random) -> tuple[int, int]:
    start = _place(data, chance)
    return start, min(len(data), start + chance.choice((1, 4, 100, 5000)))


def _remove(data: bytes, chance: Random) -> bytes:
    start, end = _block(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: Random) -> bytes:
    start, end = _block(data, chance)
    return data[:end] + data[start:end] * chance.choice((1, 20)) + data[end:]


def _swap(data: bytes, chance: Random) -> bytes:
    (a, b), (c, d) = sorted((_block(data, chance), _block(data, chance)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _overwrite(data: bytes, chance: Random) -> bytes:
    start, end = _block(data, chance)
    return data[:start] + chance.choice((bytes(end - start), chance.randbytes(end - start))) + data[end:]


def _renumber(data: bytes, chance: Random) -> bytes:
    """Overwrite a place with an integer: sizes, counts and times are such integers."""
    start = _place(data, chance)
    number = struct.pack(chance.choice((">I", "<I", ">Q")), chance.choice(NUMBERS))
    return data[:start] + number + data[start + len(number) :]
