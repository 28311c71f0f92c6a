"""The summary: how each part ended, what is not as it should be, and every finding in a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.lab.gpu_proof.runner import Ended
from benchmarks.lab.gpu_proof.setting import UNTRIED

WIDTH: Final = 240
"""Characters of a line; the results have all."""
MARKS: Final = {True: "ok   ", False: "WRONG", None: "     "}


def summary(ended: Sequence[Ended], results: Path) -> str:
    """The text, from how the parts ended and the lines that they wrote."""
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    findings = [line for line in lines if "what" in line]
    return "\n".join([*_findings(ended, findings), *_wrong(ended, findings)])


def _findings(ended: Sequence[Ended], findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for part in ended:
        yield f"== {part.name}: {part.wrong or 'done'}, {part.seconds:.1f} s"
        for finding in findings:
            if finding["part"] == part.name:
                yield f"{MARKS[finding['ok']]} {finding['what']}: {told(finding['found'])}"[:WIDTH]


def _wrong(ended: Sequence[Ended], findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Last, since an output that is too long is cut at its beginning."""
    missing = [finding for finding in findings if finding["what"] == UNTRIED]
    wrong = [finding for finding in findings if finding["ok"] is False]
    ended_badly = [part for part in ended if part.wrong]
    judged = sum(finding["ok"] is not None for finding in findings)
    done, right = len(ended) - len(ended_badly), judged - len(wrong)
    yield f"== {done} of {len(ended)} parts done, {right} of {judged} findings ok"
    if missing:
        yield f"{len(missing)} parts could not try everything here"
    if wrong or ended_badly:
        yield "not as it should be:"
    for finding in wrong:
        yield f"  {finding['part']}: {finding['what']}: {told(finding['found'])}"[:WIDTH]
    for part in ended_badly:
        yield f"  {part.name}: {part.wrong}"
        yield from (f"    | {line}"[:WIDTH] for line in part.last_lines)


def told(found: object) -> str:
    """A finding in one line: floats with four digits, mappings without braces."""
    match found:
        case float():
            return f"{found:.4g}"
        case Mapping():
            return ", ".join(f"{key} {told(value)}" for key, value in found.items())
        case list() | tuple():
            return "[" + ", ".join(map(told, found)) + "]"
        case _:
            return " ".join(str(found).split())
