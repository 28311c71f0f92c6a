"""A room that was received becomes files, which are uploaded; the job ends by it."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from owtmix.base.backoff import pause_s
from owtmix.base.errors import CODE_FAILED
from owtmix.base.wording import counted
from owtmix.jobfile.settings import ServiceSettings
from owtmix.notify.events import Event, ServiceStatus, WarnCode
from owtmix.recorder.job_file import JOB_FILE
from owtmix.service import callbacks, jobs, record_events
from owtmix.service.actions import ACTIONS
from owtmix.service.database import Database
from owtmix.service.jobs import Job
from owtmix.service.processes import Finished, finish
from owtmix.service.room_files import remove_made, room_folder, store_keys, write_finish_options

_log = logging.getLogger(__name__)

MOST_ATTEMPTS: Final = 8
"""At finishing a room, with pauses of up to a minute. It is tried again when the service starts."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_NEEDED: Final = sorted({name for name, action in ACTIONS.items() if action.replayed} | {"job.start"})


@dataclass(frozen=True, slots=True)
class Site:
    """What all recordings have in common.

    Attributes:
        state: The folder with the rooms' folders.
        told: Called when callbacks were stored.
        restarted: Called when a process was started again.
        finishing: How many files are made at a time.
        require_confinement: Layers (docs/security.md) without which nobody reads what strangers send in a container.
    """

    database: Database
    state: Path
    settings: ServiceSettings
    told: Callable[[], None]
    restarted: Callable[[], None]
    now_us: Callable[[], int]
    finishing: asyncio.Semaphore
    require_confinement: tuple[str, ...] = ()


async def finish_session(job: Job, session: str, site: Site) -> None:
    """Make a file of a session that has ended. Where that fails, it is done when the room is finished.

    Raises:
        OSError, sqlite3.Error: it could not be begun.
    """
    await _write_options(job, site)
    async with site.finishing:
        done = await finish(room_folder(site.state, job), b"", session=session)
    if done.status:
        _log.warning("%s: session %s: %s", job.id, session, done.message)


async def finish_room(job: Job, site: Site) -> None:
    """Make files of all that was received and upload them; the job has ended then, or is interrupted.

    Raises:
        OSError, sqlite3.Error: it could not be begun, or what became of it not be kept.
    """
    folder = room_folder(site.state, job)
    done = Finished(0)
    if folder.is_dir() and job.document.get("RecordingConfig"):
        await _write_options(job, site)
        done = await _finish_patiently(job, folder, site)
    addresses = [str(address) for address in done.result.get("uploaded", ())]
    command = _composing_command(addresses, folder)
    await site.database.run(partial(jobs.set_result, job=job, result={**done.result, "compose": command}))
    if done.status:
        await interrupt(job, site, done.message)
        return
    for warning in done.result.get("warnings", ()):
        _log.warning("%s: %s", job.id, warning)
    files = [record_events.files(addresses), record_events.upload(0, addresses)] if addresses else []
    status = record_events.status(ServiceStatus.SERVICE_STATUS_EXITING)
    lost = [entry for entry in done.result.get("left_out", ()) if entry.get("is_lost")]
    reason = f"{counted(len(lost), 'journal is damaged', 'journals are damaged')}, and kept in {folder}" if lost else ""
    await _end(job, site, "ended", reason if addresses or lost else "nothing was recorded", [*files, status])
    if command:
        _log.info("%s: recorded; to compose the room: %s", job.id, command)
    if not lost:
        remove_made(folder)


async def tell_restart(job: Job, site: Site) -> None:
    """Tell that a process of a recording was started again. Raises ``sqlite3.Error``."""
    code = WarnCode.SERVICE_WARN_PROCESS_RESTART
    warning = record_events.warning(code, "a process of the recording was started again")

    def work(connection: sqlite3.Connection) -> None:
        jobs.count_restart(connection, job)
        callbacks.store(connection, job, [warning, record_events.failover(worked=True)])

    await site.database.run(work)
    site.told()


async def interrupt(job: Job, site: Site, reason: str) -> None:
    """Note that a job could not be finished, and tell its receivers. Raises ``sqlite3.Error``."""
    _log.error("%s: interrupted: %s", job.id, reason)
    events = [
        record_events.upload(1, ()),
        record_events.error(CODE_FAILED, "the recording could not be finished: the log of the service says why"),
        record_events.status(ServiceStatus.SERVICE_STATUS_INTERRUPT),
    ]
    await _end(job, site, "interrupted", reason, events)


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


async def _write_options(job: Job, site: Site) -> None:
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
