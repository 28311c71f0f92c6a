"""One job from its file to its published output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import BusyError
from owtmix.base.ids import is_job_id
from owtmix.base.own_files import make_emptied, make_folder
from owtmix.base.progress import Progress
from owtmix.jobfile.settings import Settings
from owtmix.jobs.announcer import Announcer
from owtmix.jobs.compose import COMPOSE, Published
from owtmix.jobs.lock import lock_job
from owtmix.jobs.options import Options
from owtmix.jobs.prepare import PREPARE, Prepared
from owtmix.jobs.preview import preview_steps
from owtmix.jobs.request import JobRequest, read_request
from owtmix.jobs.result import JobResult, job_result
from owtmix.jobs.scratch import remove_abandoned_scratch, scratch_folder
from owtmix.jobs.state import UPLOADS, state_folder
from owtmix.jobs.steps import Hide, JobRun, disk_errors, hide_nothing, run_steps
from owtmix.jobs.sweep import sweep
from owtmix.jobs.work_folder import open_work_folder
from owtmix.jobs.worker_server import open_workers
from owtmix.plan.model import RenderPlan
from owtmix.workers.base import Executor
from owtmix.workers.card_holds import CardHolds
from owtmix.workers.cluster_link import ClusterLink
from owtmix.workers.limits import available_cores

MOST_RESENT_AT_ONCE: Final = 500
"""Jobs: each holds a lock, and a process may often open no more than 1,024 files."""

OpenExecutor = Callable[[Settings, Callable[[str], None], int | None], AbstractContextManager[Executor]]
"""Opens an executor: from the settings, what takes warnings of tasks, and the number of workers, if given."""


class Job:
    """A job file that was read and checked.

    Args:
        job_file: the job file.
        settings: the settings of the service.
        options: those of this job.
        state: folder for the state of all jobs; by default that of this installation.
        open_executor: opens what does the job's tasks.
        hide: is given more secrets, once they are read, which must never be written anywhere.

    Raises:
        SpecError: the file is missing or wrong.
    """

    def __init__(
        self,
        job_file: Path,
        settings: Settings,
        options: Options,
        state: Path | None = None,
        open_executor: OpenExecutor = open_workers,
        hide: Hide = hide_nothing,
    ) -> None:
        self.request: JobRequest = read_request(job_file, settings, options, (state or state_folder()) / UPLOADS)
        self._job_file = job_file
        self._state = state
        self._open_executor = open_executor
        self._hide = hide

    def plan(self, progress: Progress, temporary: TemporaryPaths) -> RenderPlan:
        """Plan the output.

        Raises:
            MixError: of any kind.
        """
        with self._temporary_run(progress, temporary) as run:
            prepared, _ = run_steps(PREPARE, run, None)
        assert isinstance(prepared, Prepared)
        return prepared.setup.plan

    def preview(self, t: Fraction, png: Path, progress: Progress, temporary: TemporaryPaths) -> None:
        """Draw the frame on screen at output time ``t`` into a PNG file.

        Raises:
            SpecError: the output has no picture, or none at ``t``.
            DestinationError: the file cannot be written.
        """
        with self._temporary_run(progress, temporary) as run:
            run_steps(preview_steps(t, png), run, None)

    def run(self, progress: Progress, temporary: TemporaryPaths) -> JobResult:
        """Make the output, publish it, and tell the receivers of callbacks.

        Raises:
            MixError: of any kind.
        """
        request, state = self.request, self._state or state_folder()
        job_id, announcer = request.spec.job_id, self._announcer()
        with (
            lock_job(state, job_id, self._job_file),
            announcer.run(state / "outbox", request.output.address(request.spec.output_key)),
            open_work_folder(state, job_id) as work,
            self._cluster() as cluster,
            self._holds() as holds,
            self._executor(announcer) as executor,
        ):
            temporary.add(work / "tracks")
            remove_abandoned_scratch(state)
            sweep(state, request.settings)
            if request.options.fresh:
                with disk_errors():
                    make_emptied(work / "chunks")
            run = _confined(
                JobRun(request, executor, announcer, progress, temporary, work, state, cluster, holds, self._hide)
            )
            published, seconds = run_steps(COMPOSE, run, None)
        assert isinstance(published, Published)
        return job_result(published, announcer, seconds)

    @contextmanager
    def _temporary_run(self, progress: Progress, temporary: TemporaryPaths) -> Iterator[JobRun]:
        """A run whose work folder is temporary."""
        state, announcer = self._state or state_folder(), self._announcer()
        with scratch_folder(state) as work, self._holds() as holds, self._executor(announcer) as executor:
            temporary.add(work)
            with disk_errors():
                for name in ("inputs", "tracks"):
                    make_folder(work / name)
            run = JobRun(
                self.request, executor, announcer, progress, temporary, work, state, holds=holds, hide=self._hide
            )
            yield _confined(run)

    def _announcer(self) -> Announcer:
        """The announcer of one run."""
        return Announcer(self.request.spec, self.request.settings, wait=self.request.options.wait)

    def _cluster(self) -> AbstractContextManager[ClusterLink | None]:
        address = self.request.options.cluster
        return ClusterLink(address) if address else nullcontext()

    def _holds(self) -> AbstractContextManager[CardHolds | None]:
        return nullcontext() if self.request.options.card_is_held else CardHolds()

    def _executor(self, announcer: Announcer) -> AbstractContextManager[Executor]:
        options = self.request.options
        # With shared places any number of workers may compose; the queue says how many have something to do.
        most = (options.place_count or available_cores()) + 1
        workers = most if options.places and options.workers else options.workers
        return self._open_executor(self.request.settings, announcer.warn_damaged, workers)


def _confined(run: JobRun) -> JobRun:
    """The run, whose tasks may use its work folder."""
    run.executor.allow(read=[run.inputs, run.chunks], write=[run.tracks])
    return run


def jobs_with_callbacks(state: Path | None = None) -> list[str]:
    """The jobs whose runs left callbacks."""
    outboxes = (state or state_folder()) / "outbox"
    return sorted(folder.name for folder in outboxes.glob("*") if is_job_id(folder.name)) if outboxes.is_dir() else []


def resend(job_id: str, settings: Settings, state: Path | None = None) -> dict[str, Any]:
    """Deliver the callbacks that earlier runs of a job left; returns how many were sent, and how many are left.

    Raises:
        BusyError: the job is running.
    """
    state = state or state_folder()
    with lock_job(state, job_id):
        (report,) = _send_again([job_id], settings, state)
    return report


def resend_all(settings: Settings, state: Path | None, on_busy: Callable[[BusyError], None]) -> list[dict[str, Any]]:
    """Do so for all jobs that are not running, many of them in the time of one."""
    state = state or state_folder()
    jobs = jobs_with_callbacks(state)
    reports = []
    for first in range(0, len(jobs), MOST_RESENT_AT_ONCE):
        with ExitStack() as locks:
            free = []
            for job_id in jobs[first : first + MOST_RESENT_AT_ONCE]:
                try:
                    locks.enter_context(lock_job(state, job_id))
                    free.append(job_id)
                except BusyError as error:
                    on_busy(error)
            reports += _send_again(free, settings, state)
    return reports


def _send_again(job_ids: list[str], settings: Settings, state: Path) -> list[dict[str, Any]]:
    # Imported here, since other runs need not wait for the HTTP library to load.
    from owtmix.notify.notifier import resend as send_again  # noqa: PLC0415
    from owtmix.notify.options import SenderOptions  # noqa: PLC0415

    options = SenderOptions(settings.network.allow, settings.callbacks.signing_key)
    found = send_again(job_ids, state / "outbox", options, settings.callbacks.wait_s)
    return [{"job_id": job_id, "sent": sent, "left": left} for job_id, (sent, left) in found.items()]
