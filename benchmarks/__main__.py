"""``python -m benchmarks [SCENE...]``: scenes through engines, side by side in one run; ``--help`` tells the rest."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import engines as all_engines
from benchmarks.case import Case, prepare
from benchmarks.chunking import measure, work_of
from benchmarks.comparison import compare
from benchmarks.engine import Engine
from benchmarks.results import RESULTS, Results, completed, newest
from benchmarks.scenes import SCENES
from benchmarks.simulation import WORKERS
from benchmarks.sweep import CHOSEN, SCENE, sweep
from benchmarks.table import scene_table

CACHE: Final = Path("build/benchmarks")
COMMANDS: Final = frozenset({"chunks", "gpu", "plot", "spend", "sweep"})
CHUNKED: Final = ("lively9", "onekey", "hour")
START_ROUNDS: Final = 5
_EPILOG: Final = """\
commands:
  python -m benchmarks [SCENE...]   compare the engines, all scenes without a name
  python -m benchmarks sweep        encode one composition with many x264 options
  python -m benchmarks chunks       what chunks cost, for simulating many workers
  python -m benchmarks plot         put the newest results into docs/performance.md, with pictures
  python -m benchmarks gpu          what a graphics card takes; python -m benchmarks.gpu --help tells its options
  python -m benchmarks spend SCENE  where this tool's picture spends its CPU seconds

Results are kept in benchmarks/results, unless --seconds shortens the scenes; --results keeps them elsewhere.
"""


def main() -> None:
    """Do what the command line says."""
    arguments = _arguments()
    match arguments.words:
        case ["plot"]:
            _plot(arguments.results or RESULTS)
        case ["sweep"]:
            _sweep(arguments)
        case ["chunks", *names]:
            _chunks(arguments, names or CHUNKED)
        case ["gpu"]:
            from benchmarks.gpu import main as measure_card

            measure_card(["--rounds", str(arguments.rounds), "--cache", str(arguments.cache)])
        case ["spend", name]:
            _spend(arguments, name)
        case names:
            _compare(arguments, names or list(SCENES))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)}; or a command, see below")
    parser.add_argument(
        "--engines", type=_words, default=[""], metavar="WORD,...", help="only engines with one of these in their name"
    )
    parser.add_argument(
        "--workers", type=_counts, default=[1, 2], metavar="N,...", help="this tool's workers; 1,2 without"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each engine runs; 3 without")
    parser.add_argument("--seconds", type=float, metavar="S", help="only the first S seconds of each scene")
    parser.add_argument("--unjudged", action="store_true", help="measure neither quality nor the floor")
    parser.add_argument("--hisui", type=Path, metavar="FILE", help="the binary of Hisui")
    parser.add_argument(
        "--cache", type=Path, default=CACHE, metavar="FOLDER", help=f"where scenes are kept; {CACHE} without"
    )
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="where result files are kept")
    arguments = parser.parse_args()
    unknown = [word for word in arguments.words if word not in SCENES]
    if unknown and arguments.words[0] not in COMMANDS:
        parser.error(f"there is no scene {unknown[0]}; there are {', '.join(SCENES)}")
    return arguments


def _words(text: str) -> list[str]:
    return text.split(",")


def _counts(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _compare(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    results = _results(arguments)
    engines = all_engines.engines(arguments.workers, arguments.hisui)
    chosen = [engine for engine in engines if any(word in engine.name for word in arguments.engines)]
    for name in names:
        scene = SCENES[name]
        # The longest scenes tell of memory and of joints: nobody waits for the others there.
        here = chosen if scene.compared else [engine for engine in chosen if engine.name.startswith("owtmix")]
        with tempfile.TemporaryDirectory(prefix="owtmix-bench-") as work:
            say(f"{name}: {scene.about}")
            case = prepare(name, arguments.cache, Path(work), arguments.seconds)
            judge = scene.compared and not arguments.unjudged
            found = compare(case, here, arguments.rounds if scene.compared else 1, say, judge=judge)
            if name == "grid4":
                found["start_s"] = _starts(arguments.cache, Path(work) / "start", here)
        print(scene_table(found, results.about["cores"] if results else all_engines.CORES), flush=True)
        if results:
            results.add("scenes", name, found)


def _starts(cache: Path, work: Path, engines: Sequence[Engine]) -> list[float]:
    """Wall seconds of a job of one frame: from the command to the finished file."""
    case = prepare("grid4", cache, work, seconds=1 / 15)
    ours = [engine for engine in engines if engine.name.startswith("owtmix")][:1]
    return [engine.compose(case).cost.wall_s for engine in ours for _ in range(START_ROUNDS)]


def _sweep(arguments: argparse.Namespace) -> None:
    results = _results(arguments)
    with tempfile.TemporaryDirectory(prefix="owtmix-bench-") as work:
        case: Case = prepare(SCENE, arguments.cache, Path(work), arguments.seconds)
        found: dict[str, Any] = sweep(case, arguments.rounds, say)
    from benchmarks.document import sweep_table

    print(sweep_table(found))
    if results:
        results.add("sweep", "x264", found)


def _chunks(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    results = _results(arguments)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="owtmix-bench-") as work:
            say(f"{name}: {SCENES[name].about}")
            found = measure(prepare(name, arguments.cache, Path(work), arguments.seconds), say)
        busy = ", ".join(f"{work_of(found, 0).busy(count):.2f} of {count}" for count in WORKERS)
        print(f"{name}: {len(found['made_s'])} chunks, {sum(found['made_s']):.1f} CPU s, workers busy: {busy}")
        if results:
            results.add("chunks", name, found)


def _spend(arguments: argparse.Namespace, name: str) -> None:
    from benchmarks.spending import spend

    with tempfile.TemporaryDirectory(prefix="owtmix-bench-") as work:
        print(spend(prepare(name, arguments.cache, Path(work), arguments.seconds)))


def _plot(folder: Path) -> None:
    from benchmarks.chart import draw_scenes, draw_sweep
    from benchmarks.document import PAGE, written

    path = newest(folder, "scenes") or newest(folder)
    if path is None:
        sys.exit(f"there are no results in {folder}: run python -m benchmarks")
    document = completed(path)
    if document.get("scenes"):
        draw_scenes(document, PAGE.parent / "performance.png")
    if found := document.get("sweep", {}).get("x264"):
        draw_sweep(found, CHOSEN, PAGE.parent / "sweep.png")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), path), encoding="utf-8")


def _results(arguments: argparse.Namespace) -> Results | None:
    if arguments.seconds is not None and arguments.results is None:
        return None
    return Results(arguments.results or RESULTS)


def say(message: str) -> None:
    """Tell how far it is."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
