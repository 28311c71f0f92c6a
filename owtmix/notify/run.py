"""One run in the outbox of a job: its batches of events, and how far they were delivered."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.batch import SUFFIX, Batch, read_batch
from owtmix.notify.message import Message, Place, RepeatedEvent
from owtmix.notify.settled import Settled

T = TypeVar("T")

_log = logging.getLogger(__name__)

_BATCH: Final = re.compile(rf"[0-9]{{6,9}}{re.escape(SUFFIX)}")
_MOST_BATCHES: Final = 10**9 // 2
"""No run has so many. One that holds junk with a higher number ends there, before numbers get too long to be found."""


class Run:
    """The run in ``folder``. Its last event closes it; one that was killed before is resumed by the next start.

    ``number`` is the highest number of a batch, also of one that cannot be read; these are ``unreadable``. ``pending``
    counts the undelivered messages of each URL.
    """

    def __init__(self, folder: Path, job_id: str) -> None:
        self.folder = folder
        self.batches: list[Batch] = []
        self.number = 0
        self.unreadable = 0
        self.pending: Counter[str] = Counter()
        self._known: dict[tuple[NotifySpec, ...], set[bytes]] = {}
        self._lock = threading.Lock()
        found = (path for path in folder.glob(f"*{SUFFIX}") if _BATCH.fullmatch(path.name))
        for path in sorted(found, key=lambda path: (int(path.stem), path.name)):
            try:
                self.number = int(path.stem)
                self.batches.append(read_batch(path, job_id, folder.name))
            except (OSError, ValueError, TypeError, KeyError, RecursionError):
                # The file is another user's, or its content was not on the disk yet when the power failed.
                _log.warning("undelivered callbacks cannot be read: %s", path)
                self.unreadable += 1
        self._settled = Settled(folder, self._url_at)
        for url in {receiver.url for batch in self.batches for receiver in batch.receivers}:
            self.pending[url] = self._count(url)

    @property
    def closed(self) -> bool:
        return self.number > _MOST_BATCHES or any(batch.closes for batch in self.batches)

    @property
    def left(self) -> int:
        """The number of undelivered messages; a batch that cannot be read counts as one."""
        return self.pending.total() + self.unreadable

    def resume(self) -> bool:
        """Remember the events that an earlier process stored; whether there is any."""
        for batch in self.batches:
            known = self._known.setdefault(batch.receivers, set())
            known.update(_digest(repeated) for _, repeated in _read_on(batch, batch.events()))
        return bool(self.batches)

    def lacking(self, repeated: RepeatedEvent, receivers: tuple[NotifySpec, ...]) -> tuple[NotifySpec, ...]:
        """Those of ``receivers`` for which this event is not stored yet; none when nobody wants its service."""
        lacking = receivers
        if self._known:
            digest = _digest(repeated)
            for stored_for, known in self._known.items():
                if digest in known:
                    lacking = tuple(receiver for receiver in lacking if receiver not in stored_for)
        wanted = any(receiver.service == repeated.event.service for receiver in lacking)
        return lacking if wanted else ()

    def add(self, batch: Batch) -> int:
        """Take a batch; returns the number of its messages."""
        counts = {url: batch.count(url) for url in {receiver.url for receiver in batch.receivers}}
        with self._lock:
            self.pending.update(counts)
        self.batches.append(batch)
        return sum(counts.values())

    def unsent(self, url: str, *, endless: bool) -> Iterator[tuple[Batch, Message] | None]:
        """The undelivered messages for ``url`` with their batches, in order.

        When it is ``endless``, None says that there is none yet.
        """
        progress = self._settled.of(url)
        after, left = progress.last, frozenset(progress.left)
        for number in sorted({place.batch for place in left}):
            for batch in (batch for batch in self.batches if batch.number == number):
                found = _read_on(batch, batch.messages(url, Place(number, 0, -1)))
                yield from ((batch, message) for message in found if message.place in left)
        index = 0
        while True:
            while index < len(self.batches):
                batch = self.batches[index]
                yield from ((batch, message) for message in _read_on(batch, batch.messages(url, after)))
                index += 1
            if not endless:
                return
            yield None

    def settle(self, batch: Batch, message: Message, *, done: bool, write: bool) -> None:
        """Record that ``message`` was delivered or dropped; or, when it is not ``done``, that it was left for later."""
        self._settled.of(message.url).take(message.place, done=done)
        if done:
            with self._lock:
                self.pending[message.url] -= 1
        if batch.kept and write:
            self._settled.write(message.url, message.place, done=done)

    def write_progress(self, batch: Batch, message: Message) -> None:
        """Write what ``settle`` has not written: everything up to ``message`` is done, or written to be left."""
        if batch.kept:
            self._settled.write(message.url, message.place, done=True)

    def _url_at(self, place: Place) -> str | None:
        """The URL of the message at ``place``; None for a place that no message can have."""
        for batch in self.batches:
            if batch.number == place.batch:
                exists = place.receiver < len(batch.receivers) and place.event < batch.counts.total()
                return batch.receivers[place.receiver].url if exists else None
        return None

    def _count(self, url: str) -> int:
        progress = self._settled.of(url)
        behind = sum(batch.count(url) for batch in self.batches if batch.number > progress.last.batch)
        begun = (batch for batch in self.batches if batch.number == progress.last.batch)
        return behind + len(progress.left) + sum(1 for batch in begun for _ in batch.messages(url, progress.last))


def _read_on(batch: Batch, items: Iterator[T]) -> Iterator[T]:
    """``items`` of a batch, as far as it can still be read."""
    try:
        yield from items
    except (OSError, ValueError, TypeError, RecursionError) as error:
        _log.warning("undelivered callbacks can no longer be read: %r: %s", batch.lines, error)


def _digest(repeated: RepeatedEvent) -> bytes:
    event = repeated.event
    content = json.dumps([event.service, event.type, event.data, repeated.repeat])
    return hashlib.sha256(content.encode()).digest()[:16]


def split(
    run: Run, events: Iterable[RepeatedEvent], receivers: tuple[NotifySpec, ...]
) -> list[tuple[tuple[NotifySpec, ...], list[RepeatedEvent]]]:
    """Neighbouring ``events`` that the same receivers lack, with these; those that nobody lacks are left out."""
    parts: list[tuple[tuple[NotifySpec, ...], list[RepeatedEvent]]] = []
    for repeated in events:
        lacking = run.lacking(repeated, receivers)
        if lacking and parts and parts[-1][0] == lacking:
            parts[-1][1].append(repeated)
        elif lacking:
            parts.append((lacking, [repeated]))
    return parts
