"""Parsing of the command line of ``owt-batch``."""

from __future__ import annotations

import argparse
import logging
import math
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, NoReturn

from owtmix.base.errors import DestinationError
from owtmix.base.named_file import unfit_path
from owtmix.base.plain_text import plain_line
from owtmix.base.standard_output import failure, is_terminal, json_text, print_text
from owtmix.batch.problems import QueueError
from owtmix.workers.cluster_address import is_address

_EPILOG: Final = """\
QUEUE is a folder (its *.json that are job files, and */cfg.json), a manifest *.jsonl, or - for a manifest on standard
input. A line of a manifest is {"cfg": "room/cfg.json"} and perhaps id, set, index, output, device, priority, cost.

exit status:
  0    all jobs are done
  1    not set up: the settings are wrong, or no host can run jobs
  2    the queue, the results file or an option is wrong; nothing was run
  4    jobs failed, or their results could not be recorded
  130  stopped: run the same command to go on

The summary is a few lines on a terminal, and JSON where standard output is none or with --json.
"""

_MOST_JOBS: Final = 9999
_MOST_ATTEMPTS: Final = 100
_LONGEST_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parsed arguments. ``jobs`` is None for as many as there are processors, ``results`` for the usual file."""

    queue: str
    results: Path | None
    jobs: int | None
    order: Literal["longest", "given"]
    attempts: int
    again: Literal["failed", "all"] | None
    grace_s: float
    cluster: str | None
    gpus: float | None
    metrics: Path | None
    plan: Literal["text", "json"] | None
    state: Path | None
    json: bool
    threshold: int
    program: str | None
    longest_pause_s: float


def read_arguments(argv: Sequence[str]) -> Arguments:
    """Parse ``argv``. Wrong arguments exit with status 2, ``--help`` and ``--version`` with 0."""
    # Otherwise argparse would take the queue as the value of a bare --plan.
    argv = ["--plan=text" if argument == "--plan" else argument for argument in argv]
    return Arguments(**vars(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="owt-batch",
        description="Runs owt-main for many jobs, and goes on where it was after anything.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("queue", metavar="QUEUE", type=_queue, help="the jobs: a folder, a manifest *.jsonl, or -")
    add(
        "--results",
        type=_path,
        metavar="FILE.jsonl",
        help="record every ended attempt there; by default results.jsonl beside the jobs",
    )
    add(
        "--jobs",
        type=_jobs,
        metavar="N",
        help="so many jobs and workers at a time; auto, the default, is the number of processors",
    )
    add(
        "--order",
        choices=("longest", "given"),
        default="longest",
        help="begin with the longest job, or with the first one; priority comes before both",
    )
    add(
        "--attempts",
        type=_attempts,
        default=3,
        metavar="N",
        help="so many attempts at a job before it counts as failed; 3 by default",
    )
    add("--again", choices=("failed", "all"), help="run those jobs again that failed, or all, though they had ended")
    add(
        "--grace",
        dest="grace_s",
        type=_seconds,
        default=90.0,
        metavar="SECONDS",
        help="how long jobs may go on after SIGTERM or Ctrl-C; 90 by default",
    )
    add(
        "--cluster",
        type=_cluster,
        metavar="ADDRESS",
        help="run the jobs on the nodes of a Ray cluster: its address, or auto where this machine is one of them",
    )
    add(
        "--gpus",
        type=_share,
        metavar="SHARE",
        help="the part of a GPU that each job has, such as 0.25; 0 uses none; by default as much as it needs",
    )
    add("--metrics", type=_path, metavar="FILE.prom", help="write metrics for Prometheus there")
    add(
        "--plan",
        choices=("text", "json"),
        nargs="?",
        help="show what would be run, in which order, and what is done already; --plan=json for programs",
    )
    add("--state", type=_path, metavar="FOLDER", help="the state folder of all jobs, as owt-main takes it")
    add("--json", action="store_true", help="print the summary as JSON on a terminal, too")
    parser.set_defaults(threshold=logging.INFO)
    for flags, level, what in (
        (("-q", "--quiet"), logging.WARNING, "show warnings and errors only, and no progress"),
        (("-v", "--verbose"), logging.DEBUG, "show each job that is done"),
    ):
        add(*flags, dest="threshold", action="store_const", const=level, help=what)
    add("--version", action="version", version=f"owt-batch {version('owtmix')}")
    # For tests: what is run instead of owt-main, and a limit of all waits and pauses.
    add("--program", help=argparse.SUPPRESS)
    add("--longest-pause", dest="longest_pause_s", type=_seconds, default=600.0, help=argparse.SUPPRESS)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Report wrong arguments, which a shell may have made of names of files."""
        if "--json" in sys.argv[1:] or not is_terminal():
            with suppress(DestinationError):
                print_text(json_text(failure(QueueError(message))))
        super().error(plain_line(message))


def _queue(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("QUEUE is empty")
    if problem := unfit_path(text):
        raise argparse.ArgumentTypeError(problem)
    return text


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("a path is expected")
    if problem := unfit_path(text):
        raise argparse.ArgumentTypeError(problem)
    return Path(text).absolute()


def _jobs(text: str) -> int | None:
    return None if text == "auto" else _whole(text, _MOST_JOBS, "auto nor a number")


def _attempts(text: str) -> int:
    return _whole(text, _MOST_ATTEMPTS, "a number")


def _whole(text: str, most: int, accepted: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,5}", text, re.ASCII) or int(text) > most:
        raise argparse.ArgumentTypeError(
            f"{text} is neither {accepted} from 1 to {most:,}".replace("neither a", "not a")
        )
    return int(text)


def _cluster(text: str) -> str:
    if not is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is not auto, or an address such as 10.0.0.1:6379")
    return text


def _seconds(text: str) -> float:
    return _number(text, _LONGEST_S, "a number of seconds")


def _share(text: str) -> float:
    return _number(text, 1.0, "a number")


def _number(text: str, most: float, accepted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} is not {accepted} from 0 to {most:,g}")
    return value
