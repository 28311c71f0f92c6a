"""What was asked for is done: a plan, a preview or the whole job; every failure becomes a message and a status."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from typing import Any

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import DestinationError, Interrupted, MixError, SpecError
from owtmix.cli.arguments import Arguments
from owtmix.cli.plan_text import describe_plan
from owtmix.cli.probe_text import describe_reports
from owtmix.cli.progress_bar import show_progress
from owtmix.cli.run_log import CONTROL_ESCAPES, RunLog
from owtmix.inputs.measure import probe_files
from owtmix.jobfile.settings import Settings, read_settings, settings_file
from owtmix.jobs.job import Job, Options, resend
from owtmix.jobs.state import state_folder
from owtmix.plan.model import to_json
from owtmix.workers.limits import start_workers

_log = logging.getLogger(__name__)


def run_command(arguments: Arguments, scratch: TemporaryPaths) -> int:
    """Do what the arguments say; returns the exit status.

    Whatever goes wrong becomes plain messages on stderr; tracebacks go to the log alone.

    Raises:
        Interrupted: the user or the system stopped the run.
    """
    log = RunLog(arguments.threshold)
    try:
        settings = read_settings(settings_file())
    except SpecError as error:
        return _refuse(error, "")
    try:
        _print(_answer(arguments, settings, log, scratch))
    except Interrupted:
        raise
    except MixError as error:
        return _refuse(error, f"{arguments.cfg}: " if arguments.cfg else "")
    except Exception as error:  # noqa: BLE001 - the last place where anything can be caught
        if log.path is None:
            log.open("owt-main", state_folder() / "logs", settings.logs.days)
            # What is secret is not known yet, and the error's own words may quote it.
            where = {"traceback": "".join(traceback.format_tb(error.__traceback__))}
            _log.error(
                "this should not have happened: %s (where, is in %s)", type(error).__name__, log.path, extra=where
            )
            return MixError.exit_status
        _log.exception("this should not have happened: %s: %s (where, is in %s)", type(error).__name__, error, log.path)
        return MixError.exit_status
    return 0


def _answer(arguments: Arguments, settings: Settings, log: RunLog, scratch: TemporaryPaths) -> str:
    """Do what was asked for; returns what goes to standard output."""
    if arguments.probe:
        return _probe(arguments, settings, log)
    if arguments.resend:
        return _json(_resend(arguments.resend, settings, log))
    assert arguments.cfg
    options = Options(
        index=arguments.index,
        output=arguments.output,
        strict=arguments.strict,
        overrides=arguments.overrides,
        workers=arguments.workers,
        chunk_s=arguments.chunk_s,
        device=arguments.device,
        fresh=arguments.fresh,
    )
    job = Job(arguments.cfg, settings, options)
    log.hide(job.secrets)
    log.open(job.spec.job_id, state_folder() / "logs", settings.logs.days)
    with show_progress(quiet=arguments.threshold > logging.INFO) as progress:
        if arguments.plan:
            plan = job.plan(progress, scratch)
            return describe_plan(plan).translate(CONTROL_ESCAPES) if arguments.plan == "text" else _json(to_json(plan))
        if arguments.preview:
            time_s, png = arguments.preview
            job.preview(time_s, png, progress, scratch)
            return _json({"preview": str(png), "time_s": float(time_s)})
        _log.debug("composing %s", arguments.cfg)
        report = job.run(progress, scratch)
    _log.info("%s is ready", report["output"], extra={"report": report})
    return _json(report)


def _probe(arguments: Arguments, settings: Settings, log: RunLog) -> str:
    """Look through recordings; returns what is found."""
    log.open("owt-main", state_folder() / "logs", settings.logs.days)
    with (
        show_progress(quiet=arguments.threshold > logging.INFO) as progress,
        start_workers(settings, _log.warning) as executor,
    ):
        progress.stage("reading", None)
        reports = probe_files(executor, arguments.probe, settings.limits.max_duration_s, strict=arguments.strict)
    return _json(to_json(reports)) if arguments.probe_json else describe_reports(reports).translate(CONTROL_ESCAPES)


def _resend(job_id: str, settings: Settings, log: RunLog) -> dict[str, Any]:
    """Deliver what waits; returns how much that was.

    Raises:
        DestinationError: something waits still.
    """
    log.open(job_id, state_folder() / "logs", settings.logs.days)
    report = resend(job_id, settings)
    if left := report["left"]:
        raise DestinationError(f"{left} callbacks of {job_id} are not delivered yet: run this again later")
    return report


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # JSON itself escapes the controls below U+0020; terminals obey these as well.
    return re.sub("[\x7f-\x9f]", lambda control: f"\\u{ord(control[0]):04x}", text)


def _refuse(error: MixError, where: str) -> int:
    """Say what is wrong, one line for each problem."""
    for line in error.problems if isinstance(error, SpecError) else [error]:
        _log.error("%s%s", where if isinstance(error, SpecError) else "", line)
    return error.exit_status


def _print(answer: str) -> None:
    """Write to standard output; a reader that has gone had what it wanted.

    Raises:
        DestinationError: standard output cannot be written.
    """
    if sys.stdout is None:  # it was closed from the start
        return
    try:
        sys.stdout.buffer.write(answer.encode(errors="backslashreplace") + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it ends; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise DestinationError(f"standard output cannot be written: {error.strerror}") from error
