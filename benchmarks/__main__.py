"""``python -m benchmarks [SCENE...]``: scenes through engines, side by side in one run; see ``--help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from benchmarks.case import prepare
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
        "--engines", default="", metavar="WORD,...", help="only engines with one of these in their name"
    )
    parser.add_argument("--workers", default="1,2", metavar="N,...", help="owtmix's workers; 1,2 without")
    parser.add_argument("--unjudged", action="store_true", help="measure neither quality nor the floor")
    arguments = parser.parse_args()
    if arguments.scenes == ["plot"]:
        _plot(arguments.results or RESULTS)
        return
    if unknown := [name for name in arguments.scenes if name not in SCENES]:
        parser.error(f"there is no scene {unknown[0]}; there are {', '.join(SCENES)}")
    for name in arguments.scenes or SCENES:
        _compare(name, arguments)


def _compare(name: str, arguments: argparse.Namespace) -> None:
    scene = SCENES[name]
    words, workers = arguments.engines.split(","), map(int, arguments.workers.split(","))
    chosen = [engine for engine in engines(workers, arguments.cache) if any(word in engine.name for word in words)]
    ours = [engine for engine in chosen if engine.name.startswith("owtmix")]
    with prepared(name, arguments) as case:
        # A scene made of others is about the memory of owtmix; the other engines would take hours.
        compared, rounds = (ours, 1) if scene.parts else (chosen, arguments.rounds)
        found = compare(case, compared, rounds, judged=not scene.parts and not arguments.unjudged)
        if name == "grid4":
            # Wall seconds of a job of one frame, from the command to the finished file.
            frame = prepare(name, arguments.cache, case.work / "start", seconds=1 / 15)
            found["start_s"] = [engine.compose(frame).cost.wall_s for engine in ours[:1] for _ in range(START_ROUNDS)]
    print(scene_table(found, CORES), flush=True)
    keep(arguments, "scenes", name, found)


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
