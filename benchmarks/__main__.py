"""``python -m benchmarks [SCENE...]``: scenes through engines, side by side in one run; see ``--help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.case import Engine, prepare
from benchmarks.command_line import keep, new_parser, prepared
from benchmarks.compare import compare
from benchmarks.engines import engines
from benchmarks.measure import CORES
from benchmarks.results import RESULTS, completed, newest
from benchmarks.scenes import SCENES
from benchmarks.tables import scene_table

START_ROUNDS: Final = 5
_EPILOG: Final = """\
  python -m benchmarks [SCENE...]   compare the engines, all scenes without a name
  python -m benchmarks plot         put the newest results into docs/performance.md, with pictures
  python -m benchmarks.lab          list the experiments

Results are kept in benchmarks/results, unless --seconds shortens the scenes; --results keeps them elsewhere.
"""


def main() -> None:
    """Compare engines, or write the page of results."""
    parser = new_parser("benchmarks", epilog=_EPILOG)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)}; or plot")
    parser.add_argument(
        "--engines", type=_words, default=[""], metavar="WORD,...", help="only engines with one of these in their name"
    )
    parser.add_argument(
        "--workers", type=_counts, default=[1, 2], metavar="N,...", help="owtmix's workers; 1,2 without"
    )
    parser.add_argument("--unjudged", action="store_true", help="measure neither quality nor the floor")
    arguments = parser.parse_args()
    if arguments.scenes == ["plot"]:
        _plot(arguments.results or RESULTS)
        return
    if unknown := [name for name in arguments.scenes if name not in SCENES]:
        parser.error(f"there is no scene {unknown[0]}; there are {', '.join(SCENES)}")
    for name in arguments.scenes or SCENES:
        _compare(name, arguments)


def _words(text: str) -> list[str]:
    return text.split(",")


def _counts(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _compare(name: str, arguments: argparse.Namespace) -> None:
    scene = SCENES[name]
    chosen = [engine for engine in engines(arguments.workers) if any(word in engine.name for word in arguments.engines)]
    ours = [engine for engine in chosen if engine.name.startswith("owtmix")]
    with prepared(name, arguments) as case:
        # The longest scene is about the memory of owtmix; the other engines would take hours.
        compared, rounds = (chosen, arguments.rounds) if scene.compared else (ours, 1)
        found = compare(case, compared, rounds, judged=scene.compared and not arguments.unjudged)
        if name == "grid4":
            found["start_s"] = _starts(arguments.cache, case.work / "start", ours[:1])
    print(scene_table(found, CORES), flush=True)
    keep(arguments, "scenes", name, found)


def _starts(cache: Path, work: Path, ours: Sequence[Engine]) -> list[float]:
    """Wall seconds of a job of one frame: from the command to the finished file."""
    case = prepare("grid4", cache, work, seconds=1 / 15)
    return [engine.compose(case).cost.wall_s for engine in ours for _ in range(START_ROUNDS)]


def _plot(folder: Path) -> None:
    # Only the extra "bench" has the library that draws.
    from benchmarks.document import PAGE, written
    from benchmarks.lab import sweep
    from benchmarks.plots import draw_scenes

    path = newest(folder, "scenes") or newest(folder)
    if path is None:
        sys.exit(f"there are no results in {folder}: run python -m benchmarks")
    document = completed(path)
    if document.get("scenes"):
        draw_scenes(document, PAGE.parent / "performance.png")
    if found := document.get("sweep", {}).get("x264"):
        sweep.draw(found, PAGE.parent / "sweep.png")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), path), encoding="utf-8")


if __name__ == "__main__":
    main()
