"""A batch of events on disk: each is stored once, and becomes a message for each receiver when it is sent.

The file has one JSON value a line: first the receivers, then the events. It is read in blocks, so that memory grows
neither with the events nor with the receivers, and it is open only while a block is read.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, get_args

from owtmix.base.own_files import own_file
from owtmix.jobfile.bounds import MAX_RECEIVERS
from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.events import Event, Service
from owtmix.notify.message import Message, Origin, Place, RepeatedEvent

SUFFIX: Final = ".jsonl"
BLOCK_BYTES: Final = 16 << 10
LONGEST_LINE: Final = 1 << 20


class Lines(Protocol):
    """The lines of a batch."""

    def block(self, offset: int) -> tuple[list[bytes], int]:
        """A few whole lines from ``offset`` on, and the offset after them; no lines at the end.

        Raises:
            OSError: they cannot be read.
            ValueError: a line does not end.
        """


@dataclass(frozen=True, slots=True)
class FileLines:
    """Lines in a file."""

    path: Path

    def block(self, offset: int) -> tuple[list[bytes], int]:
        with open(self.path, "rb", opener=own_file) as file:
            file.seek(offset)
            data = file.read(BLOCK_BYTES)
            if data and b"\n" not in data:
                data += file.readline(LONGEST_LINE)
        whole = data[: data.rfind(b"\n") + 1]
        if data and not whole:
            raise ValueError("a line that does not end")
        return whole.splitlines(), offset + len(whole)


@dataclass(frozen=True, slots=True)
class MemoryLines:
    """Lines that could not be written."""

    lines: Sequence[bytes] = field(repr=False)

    def block(self, offset: int) -> tuple[list[bytes], int]:
        return list(self.lines[offset : offset + 1]), offset + 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Batch ``number`` of a run: its ``receivers``, whether it ``closes`` the run, and its events, in order.

    ``counts`` has the number of events of each service. A batch that is not ``kept`` is only in memory.
    """

    number: int
    origin: Origin
    receivers: tuple[NotifySpec, ...] = field(repr=False)
    closes: bool
    lines: Lines = field(repr=False)
    kept: bool = True
    counts: Counter[str] = field(default_factory=Counter)

    def events(self) -> Iterator[tuple[int, RepeatedEvent]]:
        """The events with their numbers.

        Raises:
            OSError, ValueError: they cannot be read.
        """
        offset, number = 0, -1  # the first line is not an event
        while True:
            lines, offset = self.lines.block(offset)
            if not lines:
                return
            for line in lines:
                if number >= 0:
                    yield number, _event(json.loads(line))
                number += 1

    def messages(self, url: str, after: Place) -> Iterator[Message]:
        """The messages for ``url`` whose places are behind ``after``, in order."""
        own = [(number, receiver) for number, receiver in enumerate(self.receivers) if receiver.url == url]
        if not own or after >= (self.number + 1,):
            return
        for number, repeated in self.events():
            for receiver_number, receiver in own:
                place = Place(self.number, number, receiver_number)
                if place > after and receiver.service == repeated.event.service:
                    yield self.origin.message(repeated, receiver, place)

    def count(self, url: str) -> int:
        """The number of messages for ``url``."""
        return sum(self.counts[receiver.service] for receiver in self.receivers if receiver.url == url)


def read_batch(path: Path, job_id: str, run: str) -> Batch:
    """The batch in a file, of which every line is looked at.

    Raises:
        OSError, ValueError, TypeError, KeyError, RecursionError: it cannot be read.
    """
    lines = FileLines(path)
    (first, *_), _ = lines.block(0)
    header = json.loads(first)
    closes, request_id = header["closes"], header["request"]
    if len(header["receivers"]) > MAX_RECEIVERS:
        raise ValueError("more receivers than a job has")
    receivers = tuple(NotifySpec(*row) for row in header["receivers"])
    texts = [request_id, *(text for receiver in receivers for text in (receiver.service, receiver.url))]
    tokens = [receiver.token for receiver in receivers]
    if not isinstance(closes, bool) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a batch")
    if not all(token is None or isinstance(token, str) for token in tokens):
        raise ValueError("not a token")
    batch = Batch(int(path.stem), Origin(job_id, run, request_id), receivers, closes, lines)
    batch.counts.update(repeated.event.service for _, repeated in batch.events())
    return batch


def new_batch(
    number: int,
    origin: Origin,
    receivers: Sequence[NotifySpec],
    events: Sequence[RepeatedEvent],
    *,
    closes: bool,
) -> Batch:
    """A batch in memory."""
    header = {
        "closes": closes,
        "request": origin.request_id,
        "receivers": [[receiver.service, receiver.url, receiver.token] for receiver in receivers],
    }
    rows = ([r.event.service, r.event.type, r.repeat, r.event.data] for r in events)
    lines = MemoryLines([json.dumps(value).encode() for value in (header, *rows)])
    counts = Counter(repeated.event.service for repeated in events)
    return Batch(number, origin, tuple(receivers), closes, lines, kept=False, counts=Counter(counts))


def write_batch(batch: Batch, folder: Path, sync: Callable[[int], None] | None) -> Batch:
    """Write a batch into ``folder``, under another name until it is complete; with ``sync`` it is made durable.

    Raises:
        OSError: it cannot be written.
    """
    assert isinstance(batch.lines, MemoryLines)
    path = folder / f"{batch.number:06}{SUFFIX}"
    new = path.with_suffix(".new")
    descriptor = own_file(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(line + b"\n" for line in batch.lines.lines)
        if sync:
            file.flush()
            sync(descriptor)
    new.rename(path)
    if sync:
        # Sync the directory entries too, of all folders that may be new.
        for parent in path.parents[:4]:
            _sync_folder(parent, sync)
    return Batch(batch.number, batch.origin, batch.receivers, batch.closes, FileLines(path), counts=batch.counts)


def _event(row: Any) -> RepeatedEvent:
    service, kind, repeat, data = row
    if service not in get_args(Service) or not isinstance(kind, str) or not isinstance(repeat, int):
        raise ValueError("not an event")
    if not isinstance(data, dict):
        raise ValueError("not the data of an event")  # noqa: TRY004 - a line that is junk, like any other
    return RepeatedEvent(Event(service, kind, data), repeat)


def _sync_folder(folder: Path, sync: Callable[[int], None]) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
