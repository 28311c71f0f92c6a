"""Messages to be sent, stored on disk until they are delivered."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import Problem, SpecError
from owtmix.base.ids import is_job_id
from owtmix.base.own_files import make_folder, own_file, read_own, remove

_log = logging.getLogger(__name__)

_DONE_FILE: Final = "settled"
"""Name of the file with the ids of messages that were delivered or dropped."""
MOST_BYTES: Final = 64 << 20
"""Of a file; a longer one holds no messages of this program."""
_RUN: Final = re.compile(r"[0-9]{6,18}-[0-9a-f]{32}")
_BATCH: Final = re.compile(r"[0-9]{6,18}\.json")
_ID: Final = re.compile(r"[!-~]{1,100}")
"""It becomes the header of a request."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event for one receiver. URL and body contain secrets and are left out of the repr.

    ``id`` is the same in every attempt. A ``droppable`` message need not be delivered. ``body`` is JSON in ASCII.
    """

    id: str
    event: str
    droppable: bool
    url: str = field(repr=False)
    body: str = field(repr=False)


_as_row = attrgetter("id", "event", "droppable", "url", "body")
"""A message as it is stored. Ten times as fast as ``asdict``, and composing waits for it."""


@dataclass(slots=True)
class _RunRecord:
    """The folder of one run. The last event closes a run; a run that was killed before is resumed by the next start."""

    folder: Path
    known: set[str] = field(default_factory=set)
    waiting: dict[str, Message] = field(default_factory=dict)
    batches: int = 0
    closed: bool = False


class Outbox:
    """The messages of one job, in ``folder/<job id>/<run>/``. Only the owner can read them: they contain tokens.

    A batch of messages is a file such as ``000001.json``, written under another name and renamed when it is complete.
    The file ``settled`` lists the ids of delivered and dropped messages. One process at a time may use an outbox.
    ``sync`` makes the file or folder of a descriptor durable.

    Raises:
        SpecError: ``job_id`` is not a job id.
    """

    def __init__(self, folder: Path, job_id: str, sync: Callable[[int], None] = os.fsync) -> None:
        if not is_job_id(job_id):
            raise SpecError(Problem("", f"{job_id!r} is not a job id"))
        self._sync = sync
        self._job = folder / job_id
        self._runs = [_read(run) for run in _run_folders(self._job)]

    @property
    def waiting(self) -> tuple[Message, ...]:
        """Messages of all runs that are not delivered, in the order they were added."""
        return tuple(chain.from_iterable(tuple(run.waiting.values()) for run in self._runs))

    @property
    def resumed(self) -> bool:
        """Whether ``begin`` resumed a run that was killed."""
        return bool(self._runs[-1].known)

    def begin(self) -> str:
        """Open a new run, or resume the one that was killed. Returns the name of the run."""
        if not self._runs or self._runs[-1].closed:
            number = int(self._runs[-1].folder.name.partition("-")[0]) + 1 if self._runs else 1
            self._runs.append(_RunRecord(self._job / f"{number:06}-{secrets.token_hex(16)}"))
        return self._runs[-1].folder.name

    def add(self, messages: Iterable[Message], *, closes: bool) -> tuple[Message, ...]:
        """Store messages of the current run. Returns those that it did not have yet.

        All survive a kill of the process; those that are not droppable survive a power failure too. ``closes`` means
        that these are the last messages of the run.

        Raises:
            OSError: The messages cannot be written.
        """
        run = self._runs[-1]
        new = {message.id: message for message in messages if message.id not in run.known}
        if new or closes:
            for folder in (self._job.parent, self._job, run.folder):
                make_folder(folder)
            batch = {"closes": closes, "messages": list(map(_as_row, new.values()))}
            durable = closes or not all(message.droppable for message in new.values())
            run.batches += 1
            _write(run.folder / f"{run.batches:06}.json", json.dumps(batch).encode(), self._sync if durable else None)
        run.known |= new.keys()
        run.waiting |= new
        run.closed |= closes
        return tuple(new.values())

    def mark_done(self, message: Message) -> None:
        """Record that ``message`` was delivered or dropped.

        If that cannot be written, a later run sends it again: delivery is at least once.
        """
        for run in self._runs:
            if run.waiting.pop(message.id, None):
                with suppress(OSError):
                    _append(run.folder / _DONE_FILE, f"\n{message.id}".encode())

    def remove_done(self, *, unfinished: bool) -> None:
        """Remove the folders of closed runs, with ``unfinished`` of any runs, that have no undelivered messages."""
        for run in self._runs:
            if not run.waiting and (run.closed or unfinished):
                with suppress(OSError):
                    remove(run.folder)
        with suppress(OSError):
            self._job.rmdir()  # fails as long as it contains a run


def _run_folders(job: Path) -> Sequence[Path]:
    """The folders of runs, in their order. Whatever else is there is left alone."""
    found = [] if job.is_symlink() else [path for path in job.glob("*-*") if _RUN.fullmatch(path.name)]
    return sorted(path for path in found if not path.is_symlink() and path.is_dir())


def _read(folder: Path) -> _RunRecord:
    run = _RunRecord(folder)
    run.waiting = dict(_messages(run))
    run.known |= run.waiting.keys()
    try:
        done = read_own(folder / _DONE_FILE, MOST_BYTES)
    except FileNotFoundError:
        return run
    except OSError as error:
        _log.warning("callbacks may be sent again, since %s cannot be read: %s", folder / _DONE_FILE, error.strerror)
        return run
    for message_id in done.decode("ascii", errors="replace").split():
        run.waiting.pop(message_id, None)
    return run


def _messages(run: _RunRecord) -> Iterator[tuple[str, Message]]:
    for path in sorted(path for path in run.folder.glob("*.json") if _BATCH.fullmatch(path.name)):
        run.batches = int(path.stem)
        try:
            batch = json.loads(read_own(path, MOST_BYTES))
            closes, messages = batch["closes"], [_message(row) for row in batch["messages"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            # The file is another user's, or its content was not on the disk yet when the power failed.
            _log.warning("undelivered callbacks cannot be read: %s", path)
            continue
        run.closed |= closes is True
        yield from ((message.id, message) for message in messages)


def _message(row: list[Any]) -> Message:
    """The message of a row.

    Raises:
        ValueError, TypeError: it is not one.
    """
    message = Message(*row)
    texts = (message.id, message.event, message.url, message.body)
    if not isinstance(message.droppable, bool) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a message")
    if not _ID.fullmatch(message.id) or not message.body.isascii():
        raise ValueError("not a message that can be sent")
    return message


def _write(path: Path, data: bytes, sync: Callable[[int], None] | None) -> None:
    new = path.with_suffix(".new")
    descriptor = own_file(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if sync:
            file.flush()
            sync(descriptor)
    new.rename(path)
    if sync:
        # Sync the directory entries too, of all folders that may be new.
        for folder in path.parents[:4]:
            _sync_folder(folder, sync)


def _append(path: Path, data: bytes) -> None:
    descriptor = own_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path, sync: Callable[[int], None]) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
