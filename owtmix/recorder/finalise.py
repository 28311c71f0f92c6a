"""Makes the files of one session: reads its journals, plans, has workers write, and puts whole files in place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from owtmix.base.errors import DestinationError, ShortageError
from owtmix.base.own_files import make_own
from owtmix.base.shortage import raise_if_short
from owtmix.jobfile.settings import Settings
from owtmix.recorder.file_plan import EMPTY, FileFormats, FilePlan, LeftOut, plan_files, without_picture
from owtmix.recorder.journal import JournalError
from owtmix.recorder.journal_scan import Scan, scan_journal
from owtmix.recorder.made import Made
from owtmix.recorder.room_folder import PART, FinishedSession, RecordedFile, RoomFolder, size_of, sync
from owtmix.recorder.tasks import IMPORTS, RecordingTask, journal_bytes
from owtmix.storage import disk_error
from owtmix.workers.alone import do_alone
from owtmix.workers.base import Outcome
from owtmix.workers.file_access import FileAccess
from owtmix.workers.limits import worker_limits
from owtmix.workers.local import WorkerPool
from owtmix.workers.worker_process import ForkServer

DAMAGED: Final = "it is damaged: what follows the damage is in no file"
LATER_US: Final = 1_000_000
"""By how much a sender outlives its frames before that counts: a packet's way to the server takes some time."""

_log = logging.getLogger(__name__)

Doer = Callable[[RecordingTask], "Outcome[RecordingTask]"]
"""Does a task in a worker that may use only its files."""


def confined(settings: Settings, warn: Callable[[str], None]) -> Doer:
    """Workers within the limits of the settings, a new one for each file: journals of others are out of its reach."""

    def do(task: RecordingTask) -> Outcome[RecordingTask]:
        access = FileAccess().adding(read=_journals(task.plan), write=[task.path])
        with WorkerPool(1, worker_limits(settings), warn, access, ForkServer(IMPORTS)) as pool:
            return do_alone(pool, task)

    return do


def finish_session(
    folder: RoomFolder, session: str, journals: Sequence[Path], formats: FileFormats, do: Doer
) -> FinishedSession:
    """Make the files of a session. The same journals give the same bytes.

    What cannot be used is left out, with the reason.

    Raises:
        ShortageError: the machine is short of something.
        DestinationError: the disk takes no more.
    """
    sizes = {path.name: size_of(path) or 0 for path in journals}
    scans: list[Scan] = []
    left_out: list[LeftOut] = []
    for path in journals:
        if not sizes[path.name]:  # its writer was killed before it wrote anything
            left_out.append(LeftOut(path.name, EMPTY))
            continue
        try:
            scans.append(_scanned(path, scans))
        except JournalError as error:
            left_out.append(LeftOut(path.name, str(error), is_lost=True))
    plans, without_media = plan_files(scans, formats)
    left_out += [*without_media, *(LeftOut(scan.path.name, DAMAGED, is_lost=True) for scan in scans if scan.is_damaged)]
    files = []
    for plan in plans:
        made, reason = _made(folder, plan, scans, do)
        if not made and (alone := without_picture(plan, formats)):
            left_out.append(LeftOut(plan.name, f"its picture: {reason}", is_lost=True))
            plan = alone  # noqa: PLW2901 - what is made in its place
            made, reason = _made(folder, plan, scans, do)
        if made:
            files.append(_recorded(folder, plan, made, str(scans[0].head.stream)))
        else:
            left_out.append(LeftOut(plan.name, reason, is_lost=True))
    return FinishedSession(session, sizes, tuple(files), tuple(left_out))


def _scanned(path: Path, others: Sequence[Scan]) -> Scan:
    """What is in a journal.

    Raises:
        JournalError: it is none, or is of another stream than others of its session.
    """
    try:
        scan = scan_journal(path)
    except OSError as error:
        raise_if_short(error)
        raise JournalError(f"it cannot be read: {error.strerror}") from None
    if others and (scan.head.session, scan.head.stream) != (others[0].head.session, others[0].head.stream):
        raise JournalError("it is of another stream than the first journal of its session")
    return scan


def _made(folder: RoomFolder, plan: FilePlan, scans: Sequence[Scan], do: Doer) -> tuple[Made | None, str]:
    """Make a file and put it in its place; or why it cannot be made."""
    final = folder.recordings / plan.name
    part = folder.recordings / f".{plan.name}{PART}"
    try:
        make_own(part)
        outcome = do(RecordingTask(plan, part, journal_bytes(plan), _arrived(scans)))
        if isinstance(outcome.error, ShortageError | DestinationError):
            raise outcome.error
        if not isinstance(outcome.value, Made):
            part.unlink(missing_ok=True)
            return None, str(outcome.error or f"its process {outcome.death}")
        sync(part)
        part.replace(final)
        sync(folder.recordings)
    except OSError as error:
        raise disk_error(folder.recordings, error) from error
    if outcome.value.damaged:
        _log.warning("%s: %d damaged frames are left out", plan.name, outcome.value.damaged)
    return outcome.value, ""


def _recorded(folder: RoomFolder, plan: FilePlan, made: Made, stream: str) -> RecordedFile:
    """The entry of a file. It ends when the sender was last heard: a screen that does not change stays until then."""
    end_us = plan.heard_us if plan.heard_us - made.end_us > LATER_US else made.end_us
    size = (folder.recordings / plan.name).stat().st_size
    start_ms = _ms(made.start_us)
    return RecordedFile(stream, plan.name, start_ms, max(start_ms + 1, _ms(end_us)), size)


def _arrived(scans: Sequence[Scan]) -> tuple[int, int]:
    """When the first and the last record of a session came."""
    return min(scan.log.first_arrived_us for scan in scans), max(scan.log.last_arrived_us for scan in scans)


def _ms(time_us: int) -> int:
    return (time_us + 500) // 1000


def _journals(plan: FilePlan) -> list[Path]:
    return [track.path for track in (*plan.sounds, *([plan.picture] if plan.picture else []))]
