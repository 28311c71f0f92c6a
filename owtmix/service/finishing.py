"""A room that was received becomes files, which are uploaded; the job ends by it."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from owtmix.base.backoff import pause_s
from owtmix.base.errors import CODE_FAILED
from owtmix.base.wording import counted
from owtmix.jobfile.settings import ServiceSettings
from owtmix.notify.events import Event, ServiceStatus, WarnCode, kind_of
from owtmix.recorder.job_file import JOB_FILE
from owtmix.service import callbacks, jobs
from owtmix.service.actions import ACTIONS
from owtmix.service.database import Database
from owtmix.service.job_events import events_of, upload
from owtmix.service.jobs import Job
from owtmix.service.live_processes import LiveCommands
from owtmix.service.processes import Finished, finish
from owtmix.service.room_files import RECORDS, remove_made, room_folder, store_keys, write_finish_options
from owtmix.service.told import Mix

_log = logging.getLogger(__name__)

MOST_ATTEMPTS: Final = 8
"""At finishing a room, with pauses of up to a minute. It is tried again when the service starts."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_NEEDED: Final = sorted({name for name, action in ACTIONS.items() if action.replayed} | {"job.start", *RECORDS})


@dataclass(frozen=True, slots=True)
class Site:
    """What all recordings have in common.

    Attributes:
        state: The folder with the rooms' folders.
        told: Called when callbacks were stored.
        restarted: Called when a process was started again.
        finishing: How many files are made at a time.
        require_confinement: Layers (docs/security.md) without which nobody reads what strangers send in a container.
        live: The commands of the processes that mix and push.
    """

    database: Database
    state: Path
    settings: ServiceSettings
    told: Callable[[], None]
    restarted: Callable[[], None]
    now_us: Callable[[], int]
    finishing: asyncio.Semaphore
    require_confinement: tuple[str, ...] = ()
    live: LiveCommands = field(default_factory=LiveCommands)


async def finish_session(job: Job, session: str, site: Site) -> None:
    """Make a file of a session that has ended. Where that fails, it is done when the room is finished.

    What is recorded only to be pushed becomes no file.

    Raises:
        OSError, sqlite3.Error: it could not be begun.
    """
    if not job.document.get("RecordingConfig"):
        return
    await write_options(job, site)
    async with site.finishing:
        done = await finish(room_folder(site.state, job), b"", session=session)
    if done.status:
        _log.warning("%s: session %s: %s", job.id, session, done.message)


async def finish_room(job: Job, site: Site, mix: Mix | None = None) -> None:
    """Make files of all that was received and upload them; the job has ended then, or is interrupted.

    ``mix`` is what the mix of the room became, if it was mixed.

    Raises:
        OSError, sqlite3.Error: it could not be begun, or what became of it not be kept.
    """
    folder = room_folder(site.state, job)
    done = Finished(0)
    if folder.is_dir() and job.document.get("RecordingConfig"):
        await write_options(job, site)
        done = await _finish_patiently(job, folder, site)
    addresses = [str(address) for address in done.result.get("uploaded", ())]
    command = _composing_command(addresses, folder)
    mixed = {"mix": [*mix.uploaded]} if mix else {}
    await site.database.run(partial(jobs.set_result, job=job, result={**done.result, **mixed, "compose": command}))
    if done.status:
        await interrupt(job, site, done.message)
        return
    for warning in done.result.get("warnings", ()):
        _log.warning("%s: %s", job.id, warning)
    lost = [entry for entry in done.result.get("left_out", ()) if entry.get("is_lost")]
    await _end(job, site, "ended", _reason(job, done, mix, folder), _last_events(job, addresses, mix))
    if command:
        _log.info("%s: recorded; to compose the room: %s", job.id, command)
    if not lost:
        remove_made(folder)


def _reason(job: Job, done: Finished, mix: Mix | None, folder: Path) -> str:
    """What is to be said of a job that has ended; nothing where all went well."""
    lost = [entry for entry in done.result.get("left_out", ()) if entry.get("is_lost")]
    if lost:
        return f"{counted(len(lost), 'journal is damaged', 'journals are damaged')}, and kept in {folder}"
    if mix and mix.failure:
        return mix.failure
    is_expected = done.result.get("uploaded") or not (mix is None or job.document.get("RecordingConfig"))
    return "" if is_expected else "nothing was recorded"


def _last_events(job: Job, addresses: Sequence[str], mix: Mix | None) -> list[Event]:
    """Of a mix, the file was told before, and the recordings are beside it; a mix that failed is told in the status."""
    events = events_of(job.mode)
    if job.mode == 1:
        failed = mix is not None and bool(mix.failure)
        status = ServiceStatus.SERVICE_STATUS_INTERRUPT if failed else ServiceStatus.SERVICE_STATUS_EXITING
        return [events.status(status)]
    files = [events.files(addresses), upload(0, addresses)] if addresses else []
    return [*files, events.status(ServiceStatus.SERVICE_STATUS_EXITING)]


async def tell_restart(job: Job, site: Site) -> None:
    """Tell that a process of a recording was started again. Raises ``sqlite3.Error``."""
    code = WarnCode.SERVICE_WARN_PROCESS_RESTART
    events = events_of(job.mode)
    warning = events.warning(code, "a process of the recording was started again")

    def work(connection: sqlite3.Connection) -> None:
        jobs.count_restart(connection, job)
        callbacks.store(connection, job, [warning, events.failover(worked=True)])

    await site.database.run(work)
    site.told()


async def tell_disk_full(job: Job, site: Site) -> None:
    """Tell that what comes is not recorded. Raises ``sqlite3.Error``."""
    code = WarnCode.DISK_FULL
    warning = events_of(job.mode).warning(code, kind_of(code))
    await site.database.run(partial(callbacks.store, job=job, events=[warning]))
    site.told()


async def interrupt(job: Job, site: Site, reason: str) -> None:
    """Note that a job could not be finished, and tell its receivers. Raises ``sqlite3.Error``."""
    _log.error("%s: interrupted: %s", job.id, reason)
    of = events_of(job.mode)
    events = [
        upload(1, ()),
        of.error(CODE_FAILED, "the recording could not be finished: the log of the service says why"),
        of.status(ServiceStatus.SERVICE_STATUS_INTERRUPT),
    ]
    await _end(job, site, "interrupted", reason, events)


async def tell_failure(job: Job, site: Site, reason: str, message: str) -> None:
    """Tell that something cannot be done now: ``reason`` the page, ``message`` the receivers."""
    event = events_of(job.mode).error(CODE_FAILED, message)

    def work(connection: sqlite3.Connection) -> None:
        jobs.set_reason(connection, job, reason)
        callbacks.store(connection, job, [event])

    with suppress(sqlite3.Error):
        await site.database.run(work)
        site.told()


def _composing_command(addresses: Sequence[str], folder: Path) -> str:
    """The command that composes the room, by the job beside the recordings or the one that finds them in a store."""
    uploaded = [address for address in addresses if address.endswith(f".{JOB_FILE}")]
    if not uploaded:
        return ""
    return f"owt-main {shlex.quote(uploaded[0] if uploaded[0].startswith('/') else str(folder / JOB_FILE))}"


async def _finish_patiently(job: Job, folder: Path, site: Site) -> Finished:
    """Try several times, with growing pauses: stores and disks are sometimes away."""
    for attempt in range(1, MOST_ATTEMPTS + 1):
        async with site.finishing:
            done = await finish(folder, b"")
        if done.status == 0:
            done = await finish(folder, store_keys(job), upload=True)  # stores may be slow, and take no processor
        if done.status == 0:
            break
        reason = f"attempt {attempt} of {MOST_ATTEMPTS} at finishing it failed: {done.message}"
        _log.warning("%s: %s", job.id, reason)
        await site.database.run(partial(jobs.set_reason, job=job, reason=reason))
        if attempt < MOST_ATTEMPTS:
            await asyncio.sleep(pause_s(attempt, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))
            if done.status < 0:  # it did not fail, it was killed
                site.restarted()
                await tell_restart(job, site)
    return done


async def write_options(job: Job, site: Site) -> None:
    """Write all that finishing a room needs, and its updates, as they are; raises ``OSError``, ``sqlite3.Error``."""
    revisions = await site.database.run(partial(jobs.revisions, job=job, actions=_NEEDED))
    write_finish_options(room_folder(site.state, job), job, revisions, site.settings)


async def _end(job: Job, site: Site, state: jobs.State, reason: str, events: Sequence[Event]) -> None:
    def work(connection: sqlite3.Connection) -> None:
        jobs.set_recording(connection, job, is_recording=False)
        jobs.set_state(connection, job, state, site.now_us(), reason)
        callbacks.store(connection, job, events)
        if state == "ended":
            jobs.mask_secrets(connection, job)

    await site.database.run(work)
    site.told()
