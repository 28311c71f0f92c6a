"""Engines side by side on one case: each in turn, several times, with the floor measured in between."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import floor, quality
from benchmarks.case import Case, compose
from benchmarks.engine import Engine, Made
from benchmarks.measurement import CommandError

Result = dict[str, Any]
"""As it stands in a result file."""


def compare(case: Case, engines: Sequence[Engine], rounds: int, say: Callable[[str], None], *, judge: bool) -> Result:
    """Run every engine ``rounds`` times; with ``judge`` say how good the picture of each is, and measure the floor.

    Returns:
        ``seconds`` and ``frames`` of the output, ``floor`` (CPU seconds of each part, for each round), and under
        ``engines`` the costs of each round, the course of the memory in the last, and what the output is like; or, as
        ``missing``, why there are none.
    """
    composed = case.work / "composed.yuv"
    floors: list[dict[str, float]] = []
    results: dict[str, Result] = {engine.name: {"rounds": []} for engine in engines}
    if judge:
        say("composing without loss")
        compose(case, composed)
        os.sync()  # gigabytes on their way to the disk would hold up the first engine
    for number in range(rounds):
        if judge:
            floors.append(asdict(floor.measure(case, composed)))
            say(f"round {number + 1}: floor {sum(floors[-1].values()):.1f} CPU s")
        for engine in engines:
            _run(engine, case, results[engine.name], say)
            if judge and number == 0 and "missing" not in results[engine.name]:
                results[engine.name] |= _judged(_kept(case, engine), case, composed, say)
    composed.unlink(missing_ok=True)
    length = {"seconds": float(case.plan.duration_s), "frames": case.picture.frames}
    return length | {"floor": floors, "engines": results}


def _run(engine: Engine, case: Case, result: Result, say: Callable[[str], None]) -> None:
    if "missing" in result:
        return
    if missing := engine.missing(case):
        result["missing"] = missing
        say(f"{engine.name}: {missing}")
        return
    try:
        made: Made = engine.compose(case)
    except CommandError as error:
        result["missing"] = "fails"
        say(f"{engine.name} fails: {error}")
        return
    cost = asdict(made.cost)
    result["course_mib"] = [round(mib) for mib in cost.pop("course_mib")]
    result["rounds"].append(cost)
    result["bytes"] = made.output.stat().st_size
    if chunks := made.report.get("chunks"):
        result["chunks"] = chunks
    if stages := made.report.get("seconds"):
        result["stages"] = stages
    made.output.replace(_kept(case, engine))
    say(f"{engine.name}: {made.cost.wall_s:.1f} s wall, {made.cost.cpu_s:.1f} CPU s")


def _judged(output: Path, case: Case, composed: Path, say: Callable[[str], None]) -> Result:
    try:
        return {
            "psnr_db": quality.psnr_db(output, case, composed),
            **quality.vmaf(output, case, composed),
        }
    except quality.WrongLengthError as error:
        say(str(error))
        return dict.fromkeys(("psnr_db", *quality.MODELS))


def _kept(case: Case, engine: Engine) -> Path:
    return case.work / f"{engine.name.replace('/', '-')}.kept"
