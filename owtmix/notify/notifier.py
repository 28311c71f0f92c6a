"""Telling receivers about a run: events become messages, are kept in the outbox, and are sent in the background."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

from owtmix.jobfile.spec import NotifySpec
from owtmix.net.guard import LOOPBACK, Network
from owtmix.notify.events import Event, Service
from owtmix.notify.outbox import Message, Outbox
from owtmix.notify.sender import Sender

_log = logging.getLogger(__name__)

_ID_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """How callbacks are sent: to which networks besides the public ones, and signed with which key, if any."""

    allowed: Sequence[Network] = LOOPBACK
    key: bytes | None = field(default=None, repr=False)


class Notifier:
    """Tells the receivers of one job. The job runs once at a time on this machine.

    No method fails because of a receiver or of the disk, and only ``finish`` waits.
    """

    def __init__(
        self, job_id: str, request_id: str, receivers: Iterable[NotifySpec], folder: Path, sending: SenderOptions
    ) -> None:
        """Begin a run, or go on with the one that was killed: what its receivers have not got is sent first.

        ``folder`` is that of all outboxes. Receivers of services that an offline mix does not have get nothing.
        """
        self._job_id = job_id
        self._request_id = request_id
        self._receivers = tuple(dict.fromkeys(r for r in receivers if r.service in get_args(Service)))
        self._repeats: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._outbox = Outbox(folder, job_id)
        self._run = self._outbox.begin()
        self.resumed: Final = self._outbox.resumed
        self._delivery = Sender(self._outbox.settle, sending.allowed, sending.key)
        urls = {receiver.url for receiver in self._receivers}
        self._delivery.put(message for message in self._outbox.waiting if message.url in urls)

    def notify(self, *events: Event) -> None:
        """Keep these and send them in the background; from any thread."""
        if not self._receivers:
            return
        with self._lock:
            messages = [
                self._message(event, receiver)
                for event in events
                for receiver in self._receivers
                if receiver.service == event.service
            ]
            try:
                new = self._outbox.add(messages, closes=any(event.ends_run for event in events))
            except OSError as error:
                _log.warning("callbacks are sent without being kept on disk: %s", error.strerror)
                new = tuple(messages)
            self._delivery.put(new)

    def finish(self, timeout_s: float) -> int:
        """Go on sending for at most so long; returns how many messages are left, which ``resend`` delivers."""
        return _finish(self._delivery, self._outbox, timeout_s, unfinished=False)

    def _message(self, event: Event, receiver: NotifySpec) -> Message:
        """The same event of the same run has the same id for the same receiver, also after a crash.

        An event that repeats word for word within a run is counted. Nobody can guess a token from the id: the name of
        the run is random.
        """
        content = json.dumps([self._job_id, self._run, receiver.url, receiver.token, event.type, event.data])
        self._repeats[content] += 1
        digest = hashlib.sha256(f"{self._repeats[content]}{content}".encode()).hexdigest()
        return Message(
            id=f"msg_{digest[:_ID_DIGITS]}",
            event=event.type,
            droppable=event.droppable,
            url=receiver.url,
            body=event.body(self._job_id, self._request_id, receiver.token),
        )


def resend(job_id: str, folder: Path, sending: SenderOptions, timeout_s: float) -> tuple[int, int]:
    """Deliver what earlier runs of a job left; the job must not be running.

    Returns how many went, droppable ones that were given up included, and how many stay.

    Raises:
        SpecError: ``job_id`` is none.
    """
    outbox = Outbox(folder, job_id)
    before = len(outbox.waiting)
    delivery = Sender(outbox.settle, sending.allowed, sending.key)
    delivery.put(outbox.waiting)
    left = _finish(delivery, outbox, timeout_s, unfinished=True)
    return before - left, left


def _finish(delivery: Sender, outbox: Outbox, timeout_s: float, *, unfinished: bool) -> int:
    try:
        delivery.finish(timeout_s)
    finally:
        outbox.sweep(unfinished=unfinished)
    return len(outbox.waiting)
