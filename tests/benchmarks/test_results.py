"""Result files: what they keep, and what the newest one borrows from the others."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.results import add, completed, newest, read


def test_the_newest_result_is_what_was_measured_last(tmp_path: Path) -> None:
    for name, measured in (("b", "2026-11-25T03:00:00Z"), ("a", "2026-11-25T04:00:00Z")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"measured": measured}), encoding="utf-8")
    found = newest(tmp_path)
    assert found
    assert found.stem == "a"
    assert newest(tmp_path / "none") is None


def test_results_that_are_added_leave_the_others_alone(tmp_path: Path) -> None:
    keep = partial(add, tmp_path, ffmpeg_version=lambda: "n9.0")  # ffmpeg comes with the extra "bench" only
    keep("scenes", "grid4", 1)
    keep("scenes", "hour", 2)
    found = read(keep("chunks", "hour", 3))
    assert (found["scenes"], found["chunks"], found["cores"]) == ({"grid4": 1, "hour": 2}, {"hour": 3}, os.cpu_count())


def test_a_scene_that_was_measured_alone_stands_beside_the_others_of_its_machine(tmp_path: Path) -> None:
    older, newer, foreign = (tmp_path / f"{name}.json" for name in ("older", "newer", "foreign"))
    document: Any = {"measured": "2026-11-25T03:00:00Z", "machine": "Example CPU, 2 cores"}
    older.write_text(json.dumps(document | {"scenes": {"grid4": 1, "lively9": 2}}))
    foreign.write_text(json.dumps(document | {"machine": "another", "scenes": {"crowd25": 3}}))
    newer.write_text(json.dumps(document | {"scenes": {"grid4": 4}, "measured": "2026-11-26T03:00:00Z"}))
    found = completed(newer)
    assert found["scenes"] == {"grid4": 4, "lively9": 2}
    assert found["borrowed"]["lively9"] == "older.json"
    assert "grid4" not in found["borrowed"]
