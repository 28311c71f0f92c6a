"""The functions of the public API, which ``owtmix`` itself offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import Problem, SpecError
from owtmix.base.progress import NoProgress, Progress
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from owtmix.jobs.probing import probe_recordings
from owtmix.jobs.result import JobResult
from owtmix.plan.input_report import InputReport
from owtmix.plan.model import RenderPlan

_DEFAULTS = Options()
_SILENT = NoProgress()


def compose(job_file: Path | str, options: Options = _DEFAULTS, progress: Progress = _SILENT) -> JobResult:
    """Make a job's output, publish it, and send its callbacks, as ``owt-main job_file`` does.

    Args:
        job_file: path of the job file; local stores are relative to its folder.
        options: those of the command line.
        progress: told how far the job is, from any thread.

    Returns:
        What was made: what the command prints.

    Raises:
        SpecError: the job file or an option is wrong.
        BusyError: the job is running already.
        InputError: the index or the recordings cannot be used.
        RenderError: composing, mixing or encoding failed.
        DestinationError: the output cannot be written.
    """
    with _job(job_file, options) as (job, temporary):
        return job.run(progress, temporary)


def plan(job_file: Path | str, options: Options = _DEFAULTS) -> RenderPlan:
    """Plan a job's output, as ``owt-main --plan`` does: nothing is sent, and only what was measured is kept.

    Raises:
        MixError: as ``compose``.
    """
    with _job(job_file, options) as (job, temporary):
        return job.plan(_SILENT, temporary)


def preview(job_file: Path | str, time_s: Fraction | float, png: Path | str, options: Options = _DEFAULTS) -> None:
    """Compose one frame into the file ``png``, the one on screen at ``time_s`` seconds of the output.

    Raises:
        MixError: as ``compose``; a SpecError where the output has no picture at that time.
    """
    try:
        t = Fraction(time_s)
    except (ValueError, ArithmeticError, TypeError):
        raise SpecError(Problem("time_s", f"{time_s!r} is not a time in seconds")) from None
    with _job(job_file, options) as (job, temporary):
        job.preview(t, Path(png), _SILENT, temporary)


def probe(files: Path | str | Sequence[Path | str], *, strict: bool = False) -> list[InputReport]:
    """Decode recordings to their ends and report what is in them, as ``owt-main --probe`` does.

    Files that cannot be used are reported, too.

    Raises:
        InputError: none can be used, or with ``strict`` one cannot.
    """
    paths = [files] if isinstance(files, (str, Path)) else files
    return probe_recordings(list(map(Path, paths)), read_settings(settings_file()), strict=strict)


@contextmanager
def _job(job_file: Path | str, options: Options) -> Iterator[tuple[Job, TemporaryPaths]]:
    """A job, and its temporary paths, which are removed at the end."""
    temporary = TemporaryPaths()
    try:
        yield Job(Path(job_file), read_settings(settings_file()), options), temporary
    finally:
        temporary.remove_all()
