"""The points of quality against CPU time, draft to quality, as whole jobs: what each costs, and how good it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Final

from benchmarks.case import Case, Engine, Made
from benchmarks.command_line import new_parser, prepared
from benchmarks.compare import compare
from benchmarks.engines import owtmix
from benchmarks.measure import CORES
from benchmarks.tables import scene_table
from owtmix.plan.encoders import POINTS

SCENES: Final = ("grid4", "lively9")


def main(words: Sequence[str]) -> None:
    """Compose scenes with each point."""
    parser = new_parser("benchmarks.lab points", description=__doc__)
    parser.add_argument("scenes", nargs="*", default=SCENES, metavar="SCENE", help=f"{' and '.join(SCENES)} without")
    arguments = parser.parse_args(words)
    for scene in arguments.scenes:
        with prepared(scene, arguments) as case:
            found = compare(
                case, [Engine(point, partial(_compose, point)) for point in POINTS], arguments.rounds, judged=True
            )
        print(scene_table(found, CORES), flush=True)


def _compose(point: str, case: Case) -> Made:
    """The case with the settings of a point, composed by as many workers as there are cores."""
    conf = case.work / "owt.toml"
    conf.write_text(f'[video]\nx264_preset = "{point}"\n', encoding="utf-8")
    before = os.environ.get("OWT_CONF")
    os.environ["OWT_CONF"] = str(conf)
    try:
        return owtmix(CORES).compose(case)
    finally:
        del os.environ["OWT_CONF"]
        if before is not None:
            os.environ["OWT_CONF"] = before
