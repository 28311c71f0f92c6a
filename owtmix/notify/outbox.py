"""What has to be sent, kept on disk through kills and crashes until it was."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError

_log = logging.getLogger(__name__)

_JOB_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_SETTLED: Final = "settled"


@dataclass(frozen=True, slots=True)
class Message:
    """One event for one receiver. URL and body hold secrets and stay out of every repr.

    ``id`` is the same in every repeat; a ``droppable`` one need not arrive; ``body`` is JSON in ASCII.
    """

    id: str
    event: str
    droppable: bool
    url: str = field(repr=False)
    body: str = field(repr=False)


_row = attrgetter("id", "event", "droppable", "url", "body")
"""A message as it is written; ``asdict`` takes ten times as long, and composing waits for it."""


@dataclass(slots=True)
class _Run:
    """One run's folder. A run is closed by its last event; one that was killed before goes on with the next start."""

    folder: Path
    known: set[str] = field(default_factory=set)
    waiting: dict[str, Message] = field(default_factory=dict)
    batches: int = 0
    closed: bool = False


class Outbox:
    """The messages of one job, in ``folder/<job id>/<run>/``, which only their owner can read: they hold tokens.

    A batch of messages is one file ``000001.json``, complete from the moment it has its name; ``settled`` lists the ids
    that need not be sent any more. One process at a time writes.

    Raises:
        SpecError: ``job_id`` is none.
    """

    def __init__(self, folder: Path, job_id: str) -> None:
        if not _JOB_ID.fullmatch(job_id):
            raise SpecError(Problem("", f"{job_id!r} is not a job id"))
        self._job = folder / job_id
        self._runs = [_read(run) for run in _run_folders(self._job)]

    @property
    def waiting(self) -> tuple[Message, ...]:
        """What has to be sent yet, in the order it was added; of earlier runs too."""
        return tuple(chain.from_iterable(tuple(run.waiting.values()) for run in self._runs))

    @property
    def resumed(self) -> bool:
        """Whether the run that was begun goes on with one that was killed."""
        return bool(self._runs[-1].known)

    def begin(self) -> str:
        """Open a run, or go on with the one that was killed; returns its name, which is the same then."""
        if not self._runs or self._runs[-1].closed:
            number = int(self._runs[-1].folder.name.partition("-")[0]) + 1 if self._runs else 1
            self._runs.append(_Run(self._job / f"{number:06}-{secrets.token_hex(16)}"))
        return self._runs[-1].folder.name

    def add(self, messages: Iterable[Message], *, closes: bool) -> tuple[Message, ...]:
        """Keep messages of the run that was begun; returns those that it did not have yet.

        They survive a kill; what must arrive survives a power failure too. ``closes`` says that the run ends with them.

        Raises:
            OSError: they cannot be written.
        """
        run = self._runs[-1]
        new = {message.id: message for message in messages if message.id not in run.known}
        if new or closes:
            for folder in (self._job.parent, self._job, run.folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            batch = {"closes": closes, "messages": list(map(_row, new.values()))}
            durable = closes or not all(message.droppable for message in new.values())
            run.batches += 1
            _write(run.folder / f"{run.batches:06}.json", json.dumps(batch).encode(), durable=durable)
        run.known |= new.keys()
        run.waiting |= new
        run.closed |= closes
        return tuple(new.values())

    def settle(self, message: Message) -> None:
        """Note that ``message`` was delivered or dropped. Noted in vain, it is sent again, which receivers expect."""
        for run in self._runs:
            if run.waiting.pop(message.id, None):
                with suppress(OSError):
                    _append(run.folder / _SETTLED, f"\n{message.id}".encode())

    def sweep(self, *, unfinished: bool) -> None:
        """Remove what is settled: closed runs without waiting messages, and where asked for ``unfinished`` ones."""
        for run in self._runs:
            if not run.waiting and (run.closed or unfinished):
                shutil.rmtree(run.folder, ignore_errors=True)
        with suppress(OSError):
            self._job.rmdir()  # the last run takes the job along


def _run_folders(job: Path) -> Sequence[Path]:
    return sorted(job.glob("[0-9]*-*"))


def _read(folder: Path) -> _Run:
    run = _Run(folder)
    run.waiting = dict(_messages(run))
    run.known |= run.waiting.keys()
    with suppress(OSError):
        for settled in (folder / _SETTLED).read_text(encoding="ascii").split():
            run.waiting.pop(settled, None)
    return run


def _messages(run: _Run) -> Iterator[tuple[str, Message]]:
    for path in sorted(run.folder.glob("*.json")):
        run.batches = int(path.stem)
        try:
            batch = json.loads(path.read_bytes())
            messages = [Message(*row) for row in batch["messages"]]
        except (OSError, ValueError, KeyError, TypeError):
            # Another user's, or not yet on the disk when the power failed.
            _log.warning("callbacks that were to be sent cannot be read: %s", path)
            continue
        run.closed |= batch["closes"]
        yield from ((message.id, message) for message in messages)


def _write(path: Path, data: bytes, *, durable: bool) -> None:
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(descriptor)
    new.rename(path)
    if durable:
        # The entries of all folders that may be new, too.
        for folder in path.parents[:4]:
            _sync_folder(folder)


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
