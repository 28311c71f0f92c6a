"""Markdown tables of the keys of the job file, generated from the models for ``docs/job-file.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from owtmix.base.strict_json import Loc
from owtmix.jobfile.json_schema import job_schema
from owtmix.jobfile.problems import code_at

BEGIN: Final = "<!-- keys: written by make schema -->"
END: Final = "<!-- end of keys -->"

CONDITIONAL_DEFAULTS: Final = {
    "Data.InputConfig.Index": "the first of `index.keys` in `conf/owt.toml` that exists",
    "Data.InputConfig.StorageConfig": "the output's store",
    "Data.MixerConfig.LayoutConfig": "required with layout 0",
    "Data.MixerConfig.PositionConfig": "required in manual mode",
    "Data.RecordingConfig.StorageConfig.Endpoint": "required for `s3`",
    "Data.RecordingConfig.StorageConfig.FileNamePrefix": "`$JobId`",
    "Data.RecordingConfig.StorageConfig.Region": "required for `ucloud`",
    "Data.InputConfig.StorageConfig.Endpoint": "required for `s3`",
    "Data.InputConfig.StorageConfig.Region": "required for `ucloud`",
    "Data.TranscodingConfig.Audio.Codec": "`aac`, or `opus` in WebM",
    "Data.TranscodingConfig.Video.BitRate": "`TranscodingConfig.Bitrate`",
    "Data.TranscodingConfig.Video.Height": "required with a picture",
    "Data.TranscodingConfig.Video.Width": "required with a picture",
}
"""Defaults that depend on other keys, by path. A JSON Schema cannot express them."""

_SECTIONS: Final = frozenset({"MixerConfig", "SubscribeConfig", "TranscodingConfig"})
_NUMBERS: Final = {"integer", "number"}

_Node = dict[str, Any]
_Row = tuple[Loc, _Node, bool]
"""Location of a key, its schema, and whether it is required. A list entry has the location part ``[]``."""


def key_tables() -> str:
    """Tables for the top level, ``Internal``, ``Data`` and each section of ``Data``."""
    top = _properties(job_schema())
    data = _properties(top["Data"])
    tables = [
        _table("Top level", (), _direct((), job_schema())),
        _table("Internal", ("Internal",), _direct(("Internal",), top["Internal"])),
        _table("Data", ("Data",), _direct(("Data",), top["Data"])),
    ]
    for name, node in data.items():
        loc = ("Data", name, *_depth(node))
        if rows := list(_rows(loc, node)):
            tables.append(_table(_path(loc), loc, rows))
    return "\n\n".join(tables)


def with_key_tables(page: str) -> str:
    """Replace the text between the markers of ``page`` with the tables.

    Raises:
        ValueError: A marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{key_tables()}\n\n{END}{after}"


def _table(title: str, loc: Loc, rows: Iterable[_Row]) -> str:
    lines = [f"### {title}", "", "| key | default | accepted | code |", "|---|---|---|---|"]
    for place, node, required in rows:
        default = _default(place, node, required=required)
        accepted = str(node["description"]).replace("|", "\\|")
        lines.append(f"| `{_path(place[len(loc) :])}` | {default} | {accepted} | {code_at(place)} |")
    return "\n".join(lines)


def _rows(loc: Loc, node: _Node) -> Iterator[_Row]:
    """All keys below ``loc``, depth first, without those that stand elsewhere already.

    The keys of ``Layouts`` are those of ``LayoutConfig``, and most of those of ``Updates`` are those of the job.
    """
    for place, child, required in _direct(loc, node):
        yield place, child, required
        if place[-1] != "Layouts" and not ("Updates" in place and place[-1] in _SECTIONS):
            yield from _rows((*place, *_depth(child)), child)


def _direct(loc: Loc, node: _Node) -> Iterator[_Row]:
    """The keys of the object at ``loc``, without nested ones."""
    required = _resolved(node).get("required", ())
    for name, child in _properties(node).items():
        yield (*loc, name), child, name in required


def _properties(schema: _Node) -> dict[str, _Node]:
    properties: dict[str, _Node] = _resolved(schema).get("properties", {})
    return properties


def _resolved(node: _Node) -> _Node:
    """Follow references and lists to the object that a key contains, if any."""
    node = _listed(node)
    if "items" in node:
        return _resolved(node["items"])
    if "$ref" in node:
        found: _Node = job_schema()["$defs"][node["$ref"].rpartition("/")[2]]
        return found
    return node


def _depth(node: _Node) -> tuple[str, ...]:
    """One ``[]`` per level of nested lists."""
    node = _listed(node)
    return ("[]", *_depth(node["items"])) if "items" in node else ()


def _listed(node: _Node) -> _Node:
    """For a key that accepts an object or a list of objects, the schema of the list."""
    found: _Node = next((choice for choice in node.get("anyOf", []) if "items" in choice), node)
    return found


def _path(loc: Loc) -> str:
    return ".".join(map(str, loc)).replace(".[]", "[]")


def _default(loc: Loc, node: _Node, *, required: bool) -> str:
    if required:
        return "required"
    if text := CONDITIONAL_DEFAULTS.get(_path(loc)):
        return text
    if _depth(node) and "default" not in node:
        return "`[]`"
    if _properties(node):
        return "its defaults"
    default = node.get("default", "")
    if default == "":
        return "none"
    return f"`{default if node['type'] in _NUMBERS else json.dumps(default)}`"
