"""Parsing of the command line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from owtmix.base.errors import DestinationError, Problem, SpecError
from owtmix.base.plain_text import plain_line
from owtmix.base.standard_output import failure, is_terminal, json_text, print_text
from owtmix.cli.argument_types import (
    chunk_s,
    cluster,
    count,
    device,
    folder,
    job_id,
    override,
    process,
    seconds,
    workers,
)
from owtmix.jobs.options import Options

_EPILOG: Final = """\
examples:
  owt-main mixer/cfg.json                            compose the room
  owt-main --plan mixer/cfg.json                     show the plan
  owt-main --preview 00:01:30 out.png mixer/cfg.json one picture of the result
  owt-main --probe recordings/*.webm                 show tracks and damage
  owt-main --set Data.MixerConfig.ResizeMode=1 mixer/cfg.json
  owt-main --resend sample-room                      deliver the callbacks that a run left
  owt-main --resend --all                            the same for all jobs

exit status:
  0    done
  1    the installation or conf/owt.toml is wrong, the machine lacks what that demands, or the cluster cannot be
       used: no job works here
  2    the job file is missing or wrong
  3    the index or every input is missing or unreadable, or the input store refuses
  4    composing failed
  5    the output or the output store cannot be written
  6    the job is running already: try again later
  130  interrupted

The result is a few lines on a terminal, and JSON where standard output is none or with --json; then a failure is a
JSON object, too. With --quiet there is neither, unless --json is given. Everything else goes to standard error and to
logs/<JobId>.log.
Service settings are in the file that OWT_CONF names, else in conf/owt.toml of the checkout, else in the package.
"""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parsed arguments: a job file ``cfg``, recordings to ``probe``, the id of a job to ``resend``, or all jobs.

    ``probe_json`` prints the probe results as JSON. ``options`` are those of the job.
    ``json`` prints the result as JSON on a terminal, too, and when ``quiet``, which shows no result and no progress
    otherwise; ``progress`` shows it as JSON. ``threshold`` is the lowest logging level shown on stderr. ``state`` is
    the folder for the state of all jobs, if not the usual one. The process ends with the process ``parent``.
    """

    cfg: Path | None
    probe: tuple[Path, ...]
    probe_json: bool
    resend: str | None
    resend_all: bool
    plan: Literal["text", "json"] | None
    preview: tuple[Fraction, Path] | None
    options: Options
    json: bool
    progress: Literal["text", "json"]
    threshold: int
    state: Path | None
    parent: int | None

    @property
    def quiet(self) -> bool:
        """Whether nothing but warnings and errors is shown, unless it is asked for."""
        return self.threshold > logging.INFO

    @property
    def prints_anyway(self) -> bool:
        """Whether there is a result also when ``quiet``: JSON was asked for, or showing something is all it does."""
        return self.json or bool(self.plan or self.probe)

    @property
    def uses_workers(self) -> bool:
        """Whether recordings are opened."""
        return bool(self.cfg or self.probe)

    @property
    def makes_output(self) -> bool:
        """Whether a job is run, which the next run can go on with."""
        return bool(self.cfg) and not (self.plan or self.preview)


def read_arguments(argv: Sequence[str]) -> Arguments:
    """Parse ``argv``. Wrong arguments exit with status 2, ``--help`` and ``--version`` with 0."""
    # Otherwise argparse would take the job file as the value of a bare --plan.
    argv = ["--plan=text" if argument == "--plan" else argument for argument in argv]
    probe_json = "--probe=json" in argv
    argv = ["--probe" if argument in {"--probe=json", "--probe=text"} else argument for argument in argv]
    parser = _parser()
    parsed = vars(parser.parse_args(argv))
    if (parsed["resend"] == "") != parsed["resend_all"]:
        parser.error("--resend takes the id of a job, or --all")
    if sum(map(bool, (parsed["cfg"], parsed["resend"], parsed["resend_all"], parsed["probe"]))) != 1:
        parser.error("give either a job file, --probe with recordings, or --resend with the id of a job or --all")
    parsed |= {"overrides": dict(parsed["overrides"]), "probe": tuple(parsed["probe"]), "probe_json": probe_json}
    if parsed["benches"] and not parsed["cluster"]:
        parser.error("--benches needs --cluster")
    options = Options(**{option.name: parsed.pop(option.name) for option in fields(Options)})
    return Arguments(**parsed, options=options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="owt-main",
        description="Composes a room's recordings into one video.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("cfg", nargs="?", metavar="CFG", type=Path, help="the job file (JSON)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--plan",
        nargs="?",
        choices=("text", "json"),
        help="show the timeline, every scene and every warning, and render nothing; --plan=json for programs",
    )
    mode.add_argument(
        "--preview",
        nargs=2,
        action=_Preview,
        metavar=("TIME", "FILE.png"),
        help="render the picture at TIME (HH:MM:SS.fff, MM:SS or seconds) of the output, and nothing else",
    )
    mode.add_argument(
        "--probe",
        nargs="+",
        type=Path,
        default=(),
        metavar="FILE",
        help="show tracks and damage of recordings; --probe=json for programs; takes no job file",
    )
    mode.add_argument(
        "--resend",
        nargs="?",
        const="",
        type=job_id,
        metavar="JOBID",
        help="deliver the callbacks that earlier runs of this job, or with --all of all jobs, left, and nothing else; "
        "takes no job file",
    )
    parser.add_argument("--all", dest="resend_all", action="store_true", help="with --resend: of all jobs")
    parser.add_argument("--index", metavar="KEY", help="read the index from this key of the input store")
    parser.add_argument("--output", metavar="KEY", help="write the output to this key of the output store")
    parser.add_argument("--strict", action="store_true", help="fail when an input is missing or cannot be read")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        type=override,
        default=[],
        metavar="PATH=VALUE",
        help="use VALUE (JSON, or a plain string) in place of what the job file has at PATH; may be repeated",
    )
    parser.add_argument(
        "--workers",
        type=workers,
        metavar="N",
        help="number of worker processes; auto, the default, is the number of processors",
    )
    parser.add_argument(
        "--chunk",
        dest="chunk_s",
        type=chunk_s,
        metavar="SECONDS",
        help="shortest length of a chunk, instead of the setting in conf/owt.toml; chunks are less than twice as long",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="measure and compose everything again, including the chunks that an interrupted run finished",
    )
    parser.add_argument(
        "--device",
        type=device,
        default="auto",
        metavar="DEVICE",
        help="compose on the cpu, or on a GPU: cuda, or cuda:1 for the second; auto, the default, uses one that works; "
        "previews are drawn on the cpu",
    )
    parser.add_argument(
        "--decode-threads",
        type=count,
        metavar="N",
        help="recordings that each worker decodes at a time, instead of as many as leave no processor idle",
    )
    parser.add_argument(
        "--no-wait",
        dest="wait",
        action="store_false",
        help="do not wait for the receivers of callbacks at the end: --resend delivers what is left",
    )
    parser.add_argument(
        "--state", type=folder, metavar="FOLDER", help="keep logs, work, measurements, locks and callbacks there"
    )
    parser.add_argument(
        "--places",
        type=folder,
        metavar="FOLDER",
        help="compose with more workers than --workers while processors are spare that the jobs of this machine share "
        "by this folder, as owt-batch does",
    )
    parser.add_argument(
        "--place-count", type=count, metavar="N", help="how many places there are; by default one for each processor"
    )
    parser.add_argument(
        "--card-is-held",
        action="store_true",
        help="the caller has chosen the GPU and holds a session of its encoder, as owt-batch does",
    )
    parser.add_argument(
        "--parent",
        type=process,
        metavar="PID",
        help="stop when the process with this number has ended",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the result or the failure as JSON, also on a terminal and with --quiet",
    )
    parser.add_argument(
        "--progress",
        choices=("text", "json"),
        default="text",
        help="json: a line a second on standard error for programs, also with --quiet",
    )
    parser.add_argument(
        "--cluster",
        type=cluster,
        metavar="ADDRESS",
        help="have the nodes of a Ray cluster compose, too: its address, or auto where this machine is one of them",
    )
    parser.add_argument(
        "--benches",
        type=workers,
        metavar="N",
        help="number of processes that compose on the cluster; auto, the default, is its number of processors",
    )
    parser.set_defaults(threshold=logging.INFO)
    for flags, level, what in (
        (("-q", "--quiet"), logging.WARNING, "show warnings and errors only, no progress and no result"),
        (("-v", "--verbose"), logging.DEBUG, "show debug messages"),
    ):
        parser.add_argument(*flags, dest="threshold", action="store_const", const=level, help=what)
    parser.add_argument("--version", action="version", version=f"owt-main {version('owtmix')}")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Report wrong arguments, which a shell may have made of names of files."""
        words = set(sys.argv[1:])
        if "--json" in words or not (words & {"-q", "--quiet"} or is_terminal()):
            with suppress(DestinationError):
                print_text(json_text(failure(SpecError(Problem("", message)))))
        super().error(plain_line(message))


class _Preview(argparse.Action):
    """Parses ``TIME FILE.png`` into exact seconds and a path."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        time, file = values
        if Path(file).suffix.lower() != ".png":
            parser.error(f"--preview: {file} must end in .png")
        try:
            namespace.preview = (seconds(time), Path(file))
        except ValueError:
            parser.error(f"--preview: {time} is not a time such as 00:01:30, 01:30.5 or 90")
