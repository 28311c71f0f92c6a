"""Executes the command: plan, preview, probe, resend or a whole job. Errors become messages and an exit status."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from typing import Any

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import BusyError, DestinationError, Interrupted, MixError, SpecError
from owtmix.base.plain_text import plain_json
from owtmix.base.shortage import machine_error
from owtmix.cli.arguments import Arguments
from owtmix.cli.plan_text import describe_plan
from owtmix.cli.probe_text import describe_reports
from owtmix.cli.progress_bar import show_progress
from owtmix.cli.result_text import describe_result
from owtmix.cli.run_log import RunLog
from owtmix.jobfile.settings import Settings, read_settings, settings_file
from owtmix.jobs.job import Job, jobs_with_callbacks, resend
from owtmix.jobs.probing import probe_recordings
from owtmix.jobs.request import readable_job_id
from owtmix.jobs.state import LOGS, state_folder
from owtmix.plan.model import to_json

_log = logging.getLogger(__name__)


def run_command(arguments: Arguments, scratch: TemporaryPaths) -> int:
    """Execute the command and return the exit status.

    Errors are printed to stderr without a traceback; tracebacks are written to the log only.

    Raises:
        Interrupted: The user or the system stopped the run.
    """
    log = RunLog(arguments.threshold)
    try:
        settings = read_settings(settings_file())
    except SpecError as error:
        return _refuse(error, "")
    try:
        _print(_execute(arguments, settings, log, scratch))
    except Interrupted:
        raise
    except MixError as error:
        return _refuse(error, f"{arguments.cfg}: " if arguments.cfg else "")
    except Exception as error:  # noqa: BLE001 - the outermost handler
        if interruption := _interruption_behind(error):
            raise interruption from None
        if lack := machine_error(error):
            return _refuse(lack, "")
        if log.path is None:
            log.open("owt-main", state_folder() / LOGS)
            # The job's secrets are not known yet, so the error's message, which may quote one, is not shown.
            where = {"traceback": "".join(traceback.format_tb(error.__traceback__))}
            _log.error("internal error: %s (the traceback is in %s)", type(error).__name__, log.path, extra=where)
            return MixError.exit_status
        _log.exception("internal error: %s: %s (the traceback is in %s)", type(error).__name__, error, log.path)
        return MixError.exit_status
    return 0


def _interruption_behind(error: BaseException) -> Interrupted | None:
    """The signal's exception that a library has wrapped into ``error``."""
    behind = error.__cause__ or error.__context__
    return behind if behind is None or isinstance(behind, Interrupted) else _interruption_behind(behind)


def _execute(arguments: Arguments, settings: Settings, log: RunLog, scratch: TemporaryPaths) -> str:
    """Execute the command; returns the text for standard output."""
    if arguments.probe:
        return _probe(arguments, settings, log)
    if arguments.resend:
        return _json(_resend(arguments.resend, settings, log))
    if arguments.resend_all:
        return _json(_resend_all(settings, log))
    return _work(_read_job(arguments, settings, log), arguments, scratch)


def _read_job(arguments: Arguments, settings: Settings, log: RunLog) -> Job:
    """Read the job file, and open the log of the job, also of one that is wrong but has a readable id."""
    assert arguments.cfg
    try:
        job = Job(arguments.cfg, settings, arguments.options)
    except SpecError:
        if job_id := readable_job_id(arguments.cfg, arguments.options):
            log.open(job_id, state_folder() / LOGS)
        raise
    log.hide(job.request.secrets)
    log.open(job.request.spec.job_id, state_folder() / LOGS)
    return job


def _work(job: Job, arguments: Arguments, scratch: TemporaryPaths) -> str:
    """Plan, preview or make the output; returns the text for standard output."""
    with show_progress(quiet=arguments.threshold > logging.INFO) as progress:
        if arguments.plan:
            plan = job.plan(progress, scratch)
            return describe_plan(plan) if arguments.plan == "text" else _json(to_json(plan))
        if arguments.preview:
            time_s, png = arguments.preview
            job.preview(time_s, png, progress, scratch)
            return _json({"preview": str(png), "time_s": float(time_s)})
        _log.debug("composing %s", arguments.cfg)
        result = job.run(progress, scratch)
    values = result.to_json()
    _log.info("%s is ready", result.output, extra={"result": values})
    if arguments.json or not _is_terminal():
        return _json(values)
    return describe_result(result)


def _probe(arguments: Arguments, settings: Settings, log: RunLog) -> str:
    """Probe recordings; returns the report as text."""
    log.open("owt-main", state_folder() / LOGS)
    with show_progress(quiet=arguments.threshold > logging.INFO) as progress:
        progress.stage("reading", None)
        reports = probe_recordings(arguments.probe, settings, strict=arguments.options.strict)
    return _json(to_json(reports)) if arguments.probe_json else describe_reports(reports)


def _resend(job_id: str, settings: Settings, log: RunLog) -> dict[str, Any]:
    """Deliver the callbacks in the outbox; returns the numbers of delivered and undelivered ones.

    Raises:
        DestinationError: Callbacks are left in the outbox.
    """
    log.open(job_id, state_folder() / LOGS)
    report = resend(job_id, settings)
    if left := report["left"]:
        raise DestinationError(f"{left} callbacks of {job_id} are not delivered yet: run this again later")
    return report


def _resend_all(settings: Settings, log: RunLog) -> dict[str, Any]:
    """Deliver the callbacks of all jobs that are not running.

    Raises:
        DestinationError: callbacks are left.
    """
    log.open("owt-main", state_folder() / LOGS)
    reports = []
    for job_id in jobs_with_callbacks():
        try:
            reports.append(resend(job_id, settings))
        except BusyError as error:
            _log.warning("%s: its callbacks are not sent again", error)
    if left := sum(report["left"] for report in reports):
        jobs = ", ".join(report["job_id"] for report in reports if report["left"])
        raise DestinationError(f"{left} callbacks of {jobs} are not delivered yet: run this again later")
    return {"jobs": reports, "sent": sum(report["sent"] for report in reports), "left": 0}


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _json(value: object) -> str:
    return plain_json(json.dumps(value, ensure_ascii=False, indent=2))


def _refuse(error: MixError, where: str) -> int:
    """Log an error, one line per problem; returns the exit status."""
    for line in error.problems if isinstance(error, SpecError) else [error]:
        _log.error("%s%s", where if isinstance(error, SpecError) else "", line)
    return error.exit_status


def _print(text: str) -> None:
    """Write to standard output. A closed pipe is not an error: the reader has stopped reading.

    Raises:
        DestinationError: Standard output cannot be written.
    """
    if sys.stdout is None:  # it was closed when the process started
        return
    try:
        sys.stdout.buffer.write(text.encode(errors="backslashreplace") + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout at exit; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise DestinationError(f"standard output cannot be written: {error.strerror}") from error
