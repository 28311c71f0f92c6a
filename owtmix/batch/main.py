"""The entry point of ``owt-batch``: reads the queue, opens the journal, runs the night, prints what became of it."""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Final, NoReturn

from owtmix.base.errors import ClusterError, DestinationError, Interrupted, MixError, SetupError
from owtmix.base.own_files import make_folder
from owtmix.base.standard_output import failure, is_terminal, json_text
from owtmix.base.strict_json import printable
from owtmix.base.utf8_mode import use_utf8
from owtmix.base.wording import counted, some
from owtmix.batch.agenda import Agenda
from owtmix.batch.arguments import Arguments, read_arguments
from owtmix.batch.attempt import BatchJob
from owtmix.batch.begun import BegunFile, begun_path
from owtmix.batch.command import Program, own_program
from owtmix.batch.estimates import Estimates
from owtmix.batch.journal import Journal
from owtmix.batch.lines import show_lines
from owtmix.batch.live_view import show_progress
from owtmix.batch.losses import note_losses, with_losses
from owtmix.batch.metrics import MetricsFile, check_metrics_file
from owtmix.batch.night import Night, Site, Watcher
from owtmix.batch.open_runner import open_runner
from owtmix.batch.outlet import drain_messages, free_standard_error, print_patiently
from owtmix.batch.plan import BatchPlan, plan_batch
from owtmix.batch.problems import QueueError
from owtmix.batch.queue import folder_of, read_queue
from owtmix.batch.requests import SignalRequests, hear_signals
from owtmix.batch.resending import Resending
from owtmix.batch.results_reader import Past, check_room, describe_junk, log_folder, read_journal
from owtmix.batch.runner import Runner
from owtmix.batch.summary import Summary
from owtmix.batch.tally import Tally
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.workers.cluster_link import ClusterLink
from owtmix.workers.limits import available_cores

_log = logging.getLogger(__name__)

_NOT_SET_UP: Final = 1
_FAILED: Final = 4
_STOPPED: Final = 130
_LONGEST_NAME: Final = 100
_UNREAD_S: Final = 5.0
"""How long the summary waits for a reader that does not read."""


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    hear_signals()
    use_utf8()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until they are watched, signals end the process at once
    arguments = read_arguments(sys.argv[1:])
    try:
        requests = SignalRequests()
        free_standard_error()
        show_lines(arguments.threshold)
        try:
            status = _execute(arguments, requests)
        except MixError as error:
            status = _refuse(error, arguments)
        requests.count_only()
    except Interrupted as error:  # before it began, or while it was refused
        status = error.exit_status
    sys.exit(status)


def _execute(arguments: Arguments, requests: SignalRequests) -> int:
    """Plan or run the batch; returns the exit status.

    Raises:
        QueueError: the queue or the results file is wrong.
        SetupError: the settings or the program are wrong.
        Interrupted: a signal came before jobs were run.
    """
    settings = read_settings(settings_file())
    program = own_program() if arguments.program is None else (arguments.program,)
    if shutil.which(program[0]) is None:
        raise SetupError(f"{program[0]} is no program")
    results = arguments.results or folder_of(arguments.queue) / "results.jsonl"
    _check_paths(arguments, results)
    if arguments.metrics:
        check_metrics_file(arguments.metrics)
    queue = read_queue(arguments.queue)
    if queue.others:
        _log.info(
            "%s: %s",
            counted(len(queue.others), "file is no job file", "files are no job files"),
            some(printable(name, _LONGEST_NAME) for name in queue.others),
        )
    if arguments.plan:
        return _show_plan(queue.jobs, results, settings, arguments)
    with ExitStack() as opened:
        link, plan, past = None, None, {}
        if arguments.cluster:  # nothing is left behind when it cannot be reached
            past = read_journal(results).jobs
            plan = _plan(queue.jobs, past, results, settings, arguments)
            if plan.planned:
                with requests.counting():
                    link = ClusterLink(arguments.cluster, is_stopped=lambda: requests.count > 0)
                    opened.callback(link.close)
        journal = opened.enter_context(closing(Journal(results)))
        if journal.junk:
            _log.warning("%s", describe_junk(journal.junk))
        note_losses(journal, queue.jobs, arguments.attempts, socket.gethostname())
        if plan is None or journal.jobs != past:
            plan = _plan(queue.jobs, journal.jobs, results, settings, arguments)
        runs = Program(program, arguments.state)
        return _run(plan, journal, arguments, requests, runs, open_runner(runs, arguments, settings, link, plan))


def _show_plan(jobs: Sequence[BatchJob], results: Path, settings: Settings, arguments: Arguments) -> int:
    """Print the plan; returns the exit status.

    Raises:
        QueueError: the run would not use the results file.
    """
    found = read_journal(results)
    check_room(results)
    if found.junk:
        _log.warning("%s", describe_junk(found.junk))
    if found.holder:
        _log.warning("a batch runs with this results file (process %d)", found.holder)
    places = arguments.jobs or (None if arguments.cluster else available_cores())
    past = found.jobs if found.holder else with_losses(results, jobs, found.jobs, arguments.attempts)
    plan = replace(_plan(jobs, past, results, settings, arguments), places=places)
    _print(plan.describe() if arguments.plan == "text" else json_text(plan.to_json()), float("inf"))
    return 0


def _plan(
    jobs: Sequence[BatchJob], past: dict[str, Past], results: Path, settings: Settings, arguments: Arguments
) -> BatchPlan:
    return plan_batch(jobs, past, log_folder(results), settings.index.keys, arguments.order, arguments.again)


def _run(
    plan: BatchPlan,
    journal: Journal,
    arguments: Arguments,
    requests: SignalRequests,
    program: Program,
    opening: AbstractContextManager[Runner],
) -> int:
    """Run what is planned with the runner that is ``opening``, and print the summary; returns the exit status."""
    begun_s = time.monotonic()
    tally, estimates = Tally(), Estimates()
    for job, past in plan.skipped:
        tally.skip(job.id, past)
    agenda = Agenda(plan.planned, arguments.attempts, estimates, arguments.longest_pause_s)
    logs = _make_log_folder(journal.path)
    metrics = MetricsFile(arguments.metrics, str(journal.path), tally) if arguments.metrics else None
    if metrics:  # a file of a run that crashed says for ever that jobs run
        metrics.write(agenda.waiting, 0)
    night, is_set_up = None, True
    if plan.planned:
        with (
            ExitStack() as kept,
            opening as runner,
            show_progress(quiet=arguments.threshold > logging.INFO) as view,
        ):
            resending = Resending(program, logs / ".callbacks.log")
            watchers: list[Watcher] = [view, resending]
            if metrics:
                metrics.busy = lambda: runner.busy_places
                watchers.append(metrics)
            # The nodes of a cluster stay when this machine goes down, and it tells of theirs.
            begun = None if arguments.cluster else kept.enter_context(closing(BegunFile(begun_path(journal.path))))
            site = Site(agenda, runner, journal, tally, estimates, tuple(watchers), (resending.hear,), begun)
            night = Night(site, requests, arguments.grace_s)
            requests.count_only()
            try:
                night.run()
            except ClusterError as error:  # what runs there is lost, and begins again next time
                _log.error("%s", error)
                is_set_up = False
            if metrics:
                metrics.write(agenda.waiting, 0)
            resending.finish(lambda: requests.count > 0)
            if metrics:
                metrics.write(agenda.waiting, 0)
    summary = Summary(tally, agenda.waiting, journal.unwritten, time.monotonic() - begun_s, journal.path)
    requests.count_only()
    count = requests.count
    text = json_text(summary.to_json()) if _prints_json(arguments) else summary.describe()
    _print(text, _UNREAD_S, lambda: requests.count > count)
    if (night and night.is_hopeless) or not is_set_up:
        return _NOT_SET_UP
    if summary.left and requests.count and not journal.failure:
        return _STOPPED
    return _FAILED if tally.failed or journal.failure or summary.left else 0


def _check_paths(arguments: Arguments, results: Path) -> None:
    """Check that no file is written in the place of another one.

    Raises:
        QueueError: two options name the same file, or a file that is written would count as a job of the queue.
    """
    named = {"the results": results, "the metrics": arguments.metrics}
    if arguments.queue != "-":
        queue = named["QUEUE"] = Path(arguments.queue).absolute()
        for name, path in named.items():
            if path and (
                (path.suffix == ".json" and _is_same(path.parent, queue))
                or (path.name == "cfg.json" and _is_same(path.parent.parent, queue))
            ):
                raise QueueError(
                    f"{name} would be taken for a job file of QUEUE: {printable(str(path), _LONGEST_NAME)}; "
                    "choose a name that does not end in .json, or another folder"
                )
    paths = {name: path for name, path in named.items() if path}
    for (one, path), (other, second) in combinations(paths.items(), 2):
        if _is_same(path, second):
            raise QueueError(f"{one} and {other} are the same file: {printable(str(path), _LONGEST_NAME)}")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except (OSError, RuntimeError):  # one is not there, or a loop of links: what reads it says so
        return False


def _make_log_folder(results: Path) -> Path:
    """The folder of the logs of jobs, which only its owner can read.

    Raises:
        QueueError: it cannot be made.
    """
    folder = log_folder(results)
    try:
        make_folder(folder)
    except OSError as error:
        raise QueueError(f"the folder {folder} cannot be used: {error.strerror}") from None
    return folder


def _refuse(error: MixError, arguments: Arguments) -> int:
    """Say what is wrong, one line for each problem; returns the exit status."""
    for line in getattr(error, "problems", None) or [error.message]:
        _log.error("%s", line)
    if _prints_json(arguments):
        _print(json_text(failure(error)), _UNREAD_S)
    return error.exit_status


def _prints_json(arguments: Arguments) -> bool:
    return arguments.json or not is_terminal()


def _print(text: str, unread_s: float, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Write to standard output, below all messages. What became of the jobs does not hang on that.

    Args:
        text: some lines.
        unread_s: how long they wait for a reader that does not read.
        is_stopped: whether they wait no longer.
    """
    drain_messages()
    try:
        print_patiently(text, unread_s, is_stopped)
    except (DestinationError, RuntimeError) as error:
        _log.error("%s", error)
