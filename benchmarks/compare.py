"""Engines side by side on one case: each in turn, several times, with the floor measured in between."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import floor, quality
from benchmarks.case import Case, Engine, compose
from benchmarks.command_line import say
from benchmarks.measure import CommandError

Result = dict[str, Any]
"""The results of a scene or of an engine, as they stand in a result file."""


def compare(case: Case, engines: Sequence[Engine], rounds: int, *, judged: bool) -> Result:
    """Run every engine ``rounds`` times; with ``judged`` measure the floor and the quality of each picture, too.

    Returns:
        ``seconds`` and ``frames`` of the output, ``floor`` (CPU seconds of each part, for each round), and under
        ``engines`` the costs of each round, the course of the memory in the last, and the size and quality of the
        output; or, as ``missing``, why an engine did not run.
    """
    composed = case.work / "composed.yuv"
    floors: list[dict[str, float]] = []
    results: dict[str, Result] = {engine.name: {"rounds": []} for engine in engines}
    if judged:
        say("composing without loss")
        compose(case, composed)
        os.sync()  # gigabytes on their way to the disk would hold up the first engine
    for number in range(rounds):
        if judged:
            floors.append(floor.measure(case, composed))
            say(f"round {number + 1}: floor {sum(floors[-1].values()):.1f} CPU s")
        for engine in engines:
            result = results[engine.name]
            if "missing" not in result and (output := _run(engine, case, result)):
                if judged and number == 0:
                    result |= quality.judge(output, case, composed)
                output.unlink()
    composed.unlink(missing_ok=True)
    return {"seconds": float(case.plan.duration_s), "frames": case.picture.frames, "floor": floors, "engines": results}


def _run(engine: Engine, case: Case, result: Result) -> Path | None:
    """Run an engine once and add to its ``result``; returns the output, if there is one."""
    if missing := engine.missing(case):
        result["missing"] = missing
        say(f"{engine.name}: {missing}")
        return None
    try:
        made = engine.compose(case)
    except CommandError as error:
        result["missing"] = "fails"
        say(f"{engine.name} fails: {error}")
        return None
    cost = asdict(made.cost)
    result["course_mib"] = [round(mib) for mib in cost.pop("course_mib")]
    result["rounds"].append(cost)
    result["bytes"] = made.output.stat().st_size
    reported = {"chunks": made.report.get("chunks"), "stages": made.report.get("seconds")}
    result |= {name: value for name, value in reported.items() if value}
    say(f"{engine.name}: {made.cost.wall_s:.1f} s wall, {made.cost.cpu_s:.1f} CPU s")
    return made.output
