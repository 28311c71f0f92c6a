"""Shared by all benchmark commands: options, messages, the prepared scene and the result file."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.case import Case, prepare
from benchmarks.results import RESULTS, add
from benchmarks.scenes import SCENES

CACHE: Final = Path("build/benchmarks")


def new_parser(prog: str, **options: Any) -> argparse.ArgumentParser:
    """A parser that has the options of every benchmark command."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {prog}", formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often everything runs; 3 without")
    parser.add_argument("--seconds", type=float, metavar="S", help="only the first S seconds of each scene")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="FOLDER", help="where scenes are kept")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="where result files are kept")
    return parser


@contextmanager
def prepared(name: str, arguments: argparse.Namespace) -> Iterator[Case]:
    """The scene ``name``, ready to be composed in a temporary work folder."""
    with tempfile.TemporaryDirectory(prefix="owtmix-bench-") as work:
        say(f"{name}: {SCENES[name].about}")
        yield prepare(name, arguments.cache, Path(work), arguments.seconds)


def keep(arguments: argparse.Namespace, part: str, key: str, value: Any) -> None:
    """Write ``value`` to the result file; results of shortened scenes only to the folder that ``--results`` names."""
    if arguments.seconds is None or arguments.results is not None:
        say(f"kept in {add(arguments.results or RESULTS, part, key, value)}")


def say(message: str) -> None:
    """Tell the progress on standard error."""
    print(message, file=sys.stderr, flush=True)
