"""Messages to be sent: events, stored on disk until all receivers have them, and streamed from there."""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError
from owtmix.base.ids import is_job_id
from owtmix.base.own_files import make_folder, remove
from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.batch import Batch, new_batch, write_batch
from owtmix.notify.message import Message, Origin, RepeatedEvent
from owtmix.notify.run import Run, split

_log = logging.getLogger(__name__)

_RUN: Final = re.compile(r"([0-9]{6,9})-[0-9a-f]{32}")
_LAST_RUN: Final = 10**9 - 1
"""Junk may have this number. Runs after it get it, too, so that they are found."""


class Outbox:
    """The messages of one job, in ``folder/<job id>/<run>/``. Only the owner can read them: they contain tokens.

    A batch of events is a file such as ``000001.jsonl``, written under another name and renamed when it is complete.
    The file ``settled`` says how far each receiver got. One process at a time may use an outbox. ``sync`` makes the
    file or folder of a descriptor durable.

    Raises:
        SpecError: ``job_id`` is not a job id.
    """

    def __init__(self, folder: Path, job_id: str, sync: Callable[[int], None] = os.fsync) -> None:
        if not is_job_id(job_id):
            raise SpecError(Problem("", f"{job_id!r} is not a job id"))
        self.resumed = False
        """Whether ``begin`` resumed a run that was killed."""
        self._sync = sync
        self._job_id = job_id
        self._job = folder / job_id
        self._runs = [Run(run, job_id) for run in _run_folders(self._job)]
        self._current: Run | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs with undelivered messages."""
        return tuple(dict.fromkeys(url for run in self._runs for url, count in run.pending.items() if count))

    @property
    def left(self) -> int:
        """The number of undelivered messages, of all runs."""
        return sum(run.left for run in self._runs)

    def begin(self) -> str:
        """Open a new run, or resume the one that was killed. Returns the name of the run."""
        if not self._runs or self._runs[-1].closed:
            number = min(_number(self._runs[-1].folder) + 1, _LAST_RUN) if self._runs else 1
            self._runs.append(Run(self._job / f"{number:06}-{secrets.token_hex(16)}", self._job_id))
        self._current = self._runs[-1]
        self.resumed = self._current.resume()
        return self._current.folder.name

    def add(
        self,
        events: Sequence[RepeatedEvent],
        receivers: tuple[NotifySpec, ...],
        request_id: str,
        *,
        closes: bool,
    ) -> int:
        """Store events of the current run for those of ``receivers`` that take their services and lack them.

        All survive a kill of the process; those that are not droppable survive a power failure too. Where the disk
        takes no more they are only in memory, and sent all the same. ``closes`` means that these are the last events
        of the run.

        Returns:
            The number of new messages.
        """
        run = self._current
        assert run
        origin = Origin(self._job_id, run.folder.name, request_id)
        parts = split(run, events, receivers) or [((), [])] * closes
        added = 0
        for number, (lacking, part) in enumerate(parts, 1):
            run.number += 1
            batch = new_batch(run.number, origin, lacking, part, closes=closes and number == len(parts))
            added += run.add(self._stored(batch, run, part))
        return added

    def stream(self, url: str) -> MessageStream:
        """The undelivered messages for ``url``."""
        return MessageStream(self.unsent(url))

    def unsent(self, url: str) -> Iterator[tuple[Run, Batch, Message] | None]:
        """The undelivered messages for ``url`` with what they belong to, in order; None while a run goes on without."""
        for run in [run for run in self._runs if run is self._current or run.pending[url]]:
            for found in run.unsent(url, endless=run is self._current):
                yield (run, *found) if found else None

    def remove_done(self, *, unfinished: bool) -> None:
        """Remove the folders of closed runs, with ``unfinished`` of any runs, that have no undelivered messages."""
        for run in self._runs:
            if not run.left and (run.closed or unfinished):
                with suppress(OSError):
                    remove(run.folder)
        with suppress(OSError):
            self._job.rmdir()  # fails as long as it contains a run

    def _stored(self, batch: Batch, run: Run, events: Sequence[RepeatedEvent]) -> Batch:
        durable = batch.closes or not all(repeated.event.droppable for repeated in events)
        try:
            for folder in (self._job.parent, self._job, run.folder):
                make_folder(folder)
            return write_batch(batch, run.folder, self._sync if durable else None)
        except OSError as error:
            _log.warning("callbacks are sent without being kept on disk: %s", error.strerror)
            return batch


def _run_folders(job: Path) -> Sequence[Path]:
    """The folders of runs, in their order. Whatever else is there is left alone."""
    found = [] if job.is_symlink() else [path for path in job.glob("*-*") if _RUN.fullmatch(path.name)]
    folders = (path for path in found if not path.is_symlink() and path.is_dir())
    return sorted(folders, key=lambda path: (_number(path), path.name))


def _number(run: Path) -> int:
    return int(run.name.partition("-")[0])


class MessageStream:
    """The undelivered messages for one URL, in order, read from the disk a few at a time; used by one thread.

    Those that are added to the current run come, too, when they are there.
    """

    def __init__(self, unsent: Iterator[tuple[Run, Batch, Message] | None]) -> None:
        self._unsent = unsent
        self._first: tuple[Run, Batch, Message] | None = None
        self._unwritten: tuple[Run, Batch, Message] | None = None

    def first(self) -> Message | None:
        """The message to be sent next; None when there is none yet."""
        if self._first is None:
            self._first = next(self._unsent, None)
        if self._first is None:
            self.flush()
            return None
        return self._first[2]

    def done(self) -> None:
        """The first message was delivered."""
        self._settle(done=True, write=True)

    def leave(self) -> None:
        """The first message is left for a later run."""
        self._settle(done=False, write=True)

    def drop(self) -> None:
        """The first message is never sent. That is written with the next one that is not dropped, or by ``flush``."""
        self._settle(done=True, write=False)

    def flush(self) -> None:
        """Write what is not written."""
        if self._unwritten:
            run, batch, message = self._unwritten
            run.write_progress(batch, message)
            self._unwritten = None

    def _settle(self, *, done: bool, write: bool) -> None:
        assert self._first
        run, batch, message = self._first
        if self._unwritten and self._unwritten[0] is not run:
            self.flush()
        run.settle(batch, message, done=done, write=write)
        self._unwritten = None if write else self._first
        self._first = None
