"""Notifies receivers of a run: events are stored in the outbox and sent in the background."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, get_args

from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.events import Event, Service
from owtmix.notify.message import RepeatedEvent
from owtmix.notify.options import SenderOptions
from owtmix.notify.outbox import MessageStream, Outbox
from owtmix.notify.sender import Sender


class Notifier:
    """Sends the events of one job to its receivers. Only one run of a job may use it at a time.

    No method fails because of a receiver or the disk, and only ``finish`` blocks.
    """

    def __init__(
        self, job_id: str, request_id: str, receivers: Iterable[NotifySpec], folder: Path, options: SenderOptions
    ) -> None:
        """Begin a run, or resume one that was killed. Messages that earlier runs did not deliver are sent first.

        ``folder`` contains the outboxes of all jobs. Receivers of services without events are ignored.
        """
        self._request_id = request_id
        self._receivers = tuple(dict.fromkeys(r for r in receivers if r.service in get_args(Service)))
        self._urls = tuple(dict.fromkeys(receiver.url for receiver in self._receivers))
        self._repeats: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        self._outbox = Outbox(folder, job_id)
        self._outbox.begin()
        self.resumed: Final = self._outbox.resumed
        self._sender = Sender(self._outbox, options)
        self.stored = self._outbox.left
        """The messages of this run, and those that earlier runs left."""
        self._sender.send(self._urls)

    def notify(self, *events: Event) -> None:
        """Store ``events`` and send them in the background. May be called from any thread."""
        if not self._receivers:
            return
        with self._lock:
            repeated = [self._counted(event) for event in events]
            closes = any(event.ends_run for event in events)
            self.stored += self._outbox.add(repeated, self._receivers, self._request_id, closes=closes)
        self._sender.send(self._urls)

    @property
    def left(self) -> int:
        """The messages that are not delivered."""
        return self._outbox.left

    def finish(self, timeout_s: float) -> int:
        """Send for at most ``timeout_s`` seconds more. Returns the number of undelivered messages, for ``resend``."""
        _finish(self._sender, [self._outbox], timeout_s, unfinished=False)
        return self._outbox.left

    def _counted(self, event: Event) -> RepeatedEvent:
        content = json.dumps([event.service, event.type, event.data])
        digest = hashlib.sha256(content.encode()).digest()[:16]
        self._repeats[digest] += 1
        return RepeatedEvent(event, self._repeats[digest])


def resend(
    job_ids: Sequence[str], folder: Path, options: SenderOptions, timeout_s: float
) -> dict[str, tuple[int, int]]:
    """Deliver the messages that earlier runs of jobs left in their outboxes. None of the jobs may be running.

    All are sent in the same ``timeout_s`` seconds.

    Returns:
        Numbers of messages of each job: delivered or dropped, and still undelivered.

    Raises:
        SpecError: one of ``job_ids`` is not a job id.
    """
    outboxes = {job_id: Outbox(folder, job_id) for job_id in job_ids}
    before = {job_id: outbox.left for job_id, outbox in outboxes.items()}
    joined = _Joined(outboxes.values())
    sender = Sender(joined, options)
    sender.send(joined.urls)
    _finish(sender, outboxes.values(), timeout_s, unfinished=True)
    return {job_id: (before[job_id] - outbox.left, outbox.left) for job_id, outbox in outboxes.items()}


class _Joined:
    """The messages of several outboxes, one after the other."""

    def __init__(self, outboxes: Iterable[Outbox]) -> None:
        self._by_url: dict[str, list[Outbox]] = {}
        for outbox in outboxes:
            for url in outbox.urls:
                self._by_url.setdefault(url, []).append(outbox)

    @property
    def urls(self) -> Collection[str]:
        """The URLs with undelivered messages."""
        return self._by_url.keys()

    def stream(self, url: str) -> MessageStream:
        return MessageStream(chain.from_iterable(outbox.unsent(url) for outbox in self._by_url[url]))


def _finish(sender: Sender, outboxes: Collection[Outbox], timeout_s: float, *, unfinished: bool) -> None:
    try:
        sender.finish(timeout_s)
    finally:
        for outbox in outboxes:
            outbox.remove_done(unfinished=unfinished)
