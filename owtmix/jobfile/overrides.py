"""Overrides from the command line: ``--set PATH=VALUE`` changes a value of the parsed job file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from owtmix.base.strict_json import JsonError, Loc, json_path, printable, read_object

MAX_VALUE_BYTES: Final = 2**20
LONGEST_PATH: Final = 200
"""In characters, of a path in a message."""
MAX_STEPS: Final = 32
"""The job format has paths of up to six."""

_STEP = re.compile(r"(?:^|\.)(?P<key>[A-Za-z_][A-Za-z0-9_]*)|\[(?P<position>\d{1,4})\]")


class _PathError(ValueError):
    """A path that cannot be set; the message says why."""


def apply_overrides(document: dict[str, Any], overrides: Mapping[str, str]) -> list[tuple[str, str]]:
    """Set each value at its path, in order. Missing objects and lists on the path are created.

    A value that is not valid JSON is text.

    Returns:
        (path, reason) of each path that cannot be set.
    """
    refused = []
    for path, value in overrides.items():
        try:
            _put(document, _loc(path), _value(value))
        except _PathError as error:
            refused.append((printable(path, LONGEST_PATH), str(error)))
    return refused


def _loc(path: str) -> Loc:
    steps: list[str | int] = []
    end = 0
    while end < len(path) or not steps:
        step = _STEP.match(path, end)
        if not step or not (steps or step["key"]):
            raise _PathError('not a path; write it like "Data.MixerConfig.WaterMark[0].Text"')
        steps.append(step["key"] or int(step["position"]))
        if len(steps) > MAX_STEPS:
            raise _PathError(f"more than {MAX_STEPS} keys deep")
        end = step.end()
    return tuple(steps)


def _value(text: str) -> object:
    try:
        parsed = read_object(f'{{"value": {text}}}'.encode(), max_bytes=MAX_VALUE_BYTES)
    except JsonError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _put(document: dict[str, Any], loc: Loc, value: object) -> None:
    node: Any = document
    for depth, part in enumerate(loc[:-1], start=1):
        _ensure_entry(node, loc[: depth - 1], part)
        if node[part] is None:
            node[part] = [] if isinstance(loc[depth], int) else {}
        elif isinstance(node[part], dict) and isinstance(loc[depth], int):
            node[part] = [node[part]]
        node = node[part]
    _ensure_entry(node, loc[:-1], loc[-1])
    node[loc[-1]] = value


def _ensure_entry(node: Any, loc: Loc, part: str | int) -> None:
    """Make sure that ``node``, at ``loc``, has an entry ``part``; a new entry is None.

    Raises:
        _PathError: ``node`` is of another type, or ``part`` is beyond the end of the list.
    """
    if isinstance(part, int):
        if not isinstance(node, list):
            raise _PathError(f"{json_path(loc)} is not a list")
        if part > len(node):
            raise _PathError(f"{json_path(loc)} has {len(node)} entries; the next is [{len(node)}]")
        if part == len(node):
            node.append(None)
    else:
        if not isinstance(node, dict):
            raise _PathError(f"{json_path(loc)} is not an object" + " (a list: add [0])" * isinstance(node, list))
        node.setdefault(part, None)
