"""Executes the command: plan, preview, probe, resend or a whole job. Errors become messages and an exit status."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import DestinationError, Interrupted, MixError, SpecError
from owtmix.base.file_version import check_open_files
from owtmix.base.plain_text import plain_json
from owtmix.base.shortage import machine_error
from owtmix.base.standard_output import failure, is_terminal, json_text, print_parts, print_text
from owtmix.cli.arguments import Arguments
from owtmix.cli.probe_text import describe_reports
from owtmix.cli.progress_json import report_progress
from owtmix.cli.progress_shown import show_progress
from owtmix.cli.result_text import describe_result
from owtmix.cli.run_log import RunLog
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.jobs.job import Job, resend, resend_all
from owtmix.jobs.probing import probe_recordings
from owtmix.jobs.request import readable_job_id
from owtmix.jobs.state import LOGS, state_folder
from owtmix.jobs.worker_server import open_workers
from owtmix.plan.plain_values import json_parts, to_json
from owtmix.workers.worker_process import ForkServer

_log = logging.getLogger(__name__)


def run_command(arguments: Arguments, scratch: TemporaryPaths, server: ForkServer, settle: Callable[[], None]) -> int:
    """Execute the command and return the exit status; ``server`` starts its workers.

    ``settle`` is called once the outcome is certain: no signal changes it any more.

    Errors are printed to stderr without a traceback; tracebacks are written to the log only.
    """
    return _Command(arguments, scratch, server, settle).run()


class _Command:
    """One command: its arguments, its log and, once it is known, the id of its job."""

    def __init__(
        self, arguments: Arguments, scratch: TemporaryPaths, server: ForkServer, settle: Callable[[], None]
    ) -> None:
        self._arguments = arguments
        self._settle = settle
        self._scratch = scratch
        self._server = server
        self._log = RunLog(arguments.threshold)
        self._job_id: str | None = arguments.resend or None

    def run(self) -> int:
        """Execute it and return the exit status."""
        try:
            text = self._execute(read_settings(settings_file()))
            if isinstance(text, str):
                self._settle()
            if not self._arguments.quiet or self._arguments.prints_anyway:
                print_parts([text] if isinstance(text, str) else map(plain_json, text))
            self._settle()
        except MixError as error:
            return self._fail(error)
        except Exception as error:  # noqa: BLE001 - the outermost handler
            if interruption := _interruption_behind(error):
                return self._fail(interruption)
            return self._fail(machine_error(error) or self._internal(error))
        return 0

    def _fail(self, error: MixError) -> int:
        """Report an error, one line per problem; returns the exit status."""
        self._settle()
        where = f"{self._arguments.cfg}: " if isinstance(error, SpecError) and self._arguments.cfg else ""
        hint = ": run the same command to go on" if self._goes_on_after(error) else ""
        for line in getattr(error, "problems", [error]):
            _log.error("%s%s%s", where, line, hint)
        if self._prints_json:
            with suppress(DestinationError):
                print_text(self._log.redact(json_text(failure(error, job_id=self._job_id))))
        return error.exit_status

    def _goes_on_after(self, error: MixError) -> bool:
        return isinstance(error, Interrupted) and self._arguments.makes_output

    @property
    def _prints_json(self) -> bool:
        """Whether programs read the result."""
        if self._arguments.json:
            return True
        is_text = self._arguments.plan == "text" or (self._arguments.probe and not self._arguments.probe_json)
        return not (is_text or self._arguments.quiet or is_terminal())

    def _internal(self, error: Exception) -> MixError:
        """What a user is told of a mistake in the program; its traceback is in the log."""
        if isinstance(error, FileNotFoundError) and _is_nowhere():
            return DestinationError("the folder in which the program was started is gone; paths are relative to it")
        if self._log.path is not None:
            _log.debug("internal error", exc_info=error)
            return MixError(f"internal error: {type(error).__name__}: {error} (the traceback is in {self._log.path})")
        self._log.open("owt-main", self._logs)
        # The job's secrets are not known yet, so the error's message, which may quote one, is not shown.
        where = {"traceback": "".join(traceback.format_tb(error.__traceback__))}
        _log.debug("internal error", extra=where)
        return MixError(f"internal error: {type(error).__name__} (the traceback is in {self._log.path})")

    @property
    def _logs(self) -> Path:
        return (self._arguments.state or state_folder()) / LOGS

    def _execute(self, settings: Settings) -> str | Iterator[str]:
        """Execute the command; returns the text for standard output, or its parts."""
        if self._arguments.uses_workers:
            check_open_files()
        if self._arguments.probe:
            return self._probe(settings)
        if self._arguments.resend:
            return json_text(self._resend(self._arguments.resend, settings))
        if self._arguments.resend_all:
            return json_text(self._resend_all(settings))
        return self._work(self._read_job(settings))

    def _read_job(self, settings: Settings) -> Job:
        """Read the job file, and open the log of the job, also of one that is wrong but has a readable id."""
        cfg, options = self._arguments.cfg, self._arguments.options
        assert cfg
        try:
            workers = partial(open_workers, server=self._server)
            job = Job(cfg, settings, options, self._arguments.state, workers, self._log.hide)
        except SpecError:
            if job_id := readable_job_id(cfg, options):
                self._open_log(job_id)
            raise
        self._log.hide(job.request.secrets)
        self._open_log(job.request.spec.job_id)
        return job

    def _open_log(self, job_id: str) -> None:
        self._job_id = job_id
        self._log.open_job(job_id, self._logs)

    def _work(self, job: Job) -> str | Iterator[str]:
        """Plan, preview or make the output; returns the text for standard output, or its parts."""
        arguments = self._arguments
        shown = (
            report_progress(job.request.spec.job_id)
            if arguments.progress == "json"
            else show_progress(quiet=arguments.quiet)
        )
        with shown as progress:
            if arguments.plan:
                plan = job.plan(progress, self._scratch)
                if arguments.plan == "json":
                    return json_parts(plan)
                from owtmix.cli.plan_text import describe_plan  # noqa: PLC0415 - it takes long to load

                return describe_plan(plan)
            if arguments.preview:
                time_s, png = arguments.preview
                job.preview(time_s, png, progress, self._scratch)
                return json_text({"preview": str(png), "time_s": float(time_s)})
            _log.debug("composing %s", arguments.cfg)
            result = job.run(progress, self._scratch)
            self._settle()
        values = result.to_json()
        _log.info("%s is ready", result.output, extra={"result": values})
        return json_text(values) if self._prints_json else describe_result(result)

    def _probe(self, settings: Settings) -> str:
        """Probe recordings; returns the report as text."""
        self._log.open("owt-main", self._logs)
        with show_progress(quiet=self._arguments.quiet) as progress:
            progress.stage("reading", None)
            strict = self._arguments.options.strict
            reports = probe_recordings(self._arguments.probe, settings, strict=strict, server=self._server)
        return json_text(to_json(reports)) if self._arguments.probe_json else describe_reports(reports)

    def _resend(self, job_id: str, settings: Settings) -> dict[str, Any]:
        """Deliver the callbacks in the outbox; returns the numbers of delivered and undelivered ones.

        Raises:
            DestinationError: callbacks are left in the outbox.
        """
        self._open_log(job_id)
        report = resend(job_id, settings, self._arguments.state)
        if left := report["left"]:
            raise DestinationError(f"{left} callbacks of {job_id} are not delivered yet: run this again later")
        return report

    def _resend_all(self, settings: Settings) -> dict[str, Any]:
        """Deliver the callbacks of all jobs that are not running.

        Raises:
            DestinationError: callbacks are left.
        """
        self._log.open("owt-main", self._logs)
        reports = resend_all(
            settings,
            self._arguments.state,
            lambda error: _log.warning("%s: its callbacks are not sent again", error),
        )
        if left := sum(report["left"] for report in reports):
            jobs = ", ".join(report["job_id"] for report in reports if report["left"])
            raise DestinationError(f"{left} callbacks of {jobs} are not delivered yet: run this again later")
        return {"jobs": reports, "sent": sum(report["sent"] for report in reports), "left": 0}


def _interruption_behind(error: BaseException) -> Interrupted | None:
    """The signal's exception that a library has wrapped into ``error``."""
    behind = error.__cause__ or error.__context__
    return behind if behind is None or isinstance(behind, Interrupted) else _interruption_behind(behind)


def _is_nowhere() -> bool:
    """Whether the working directory has been removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
