"""Notifies receivers of a run: events become messages in the outbox, which are sent in the background."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.events import Event, Service
from owtmix.notify.options import SenderOptions
from owtmix.notify.outbox import Message, Outbox
from owtmix.notify.sender import Sender

_log = logging.getLogger(__name__)

_ID_DIGITS: Final = 32


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
        self._job_id = job_id
        self._request_id = request_id
        self._receivers = tuple(dict.fromkeys(r for r in receivers if r.service in get_args(Service)))
        self._repeats: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._outbox = Outbox(folder, job_id)
        self._run = self._outbox.begin()
        self.resumed: Final = self._outbox.resumed
        self._sender = Sender(self._outbox.mark_done, options)
        self.stored = len(self._outbox.waiting)
        """The messages of this run, and those that earlier runs left."""
        urls = {receiver.url for receiver in self._receivers}
        self._sender.put(message for message in self._outbox.waiting if message.url in urls)

    def notify(self, *events: Event) -> None:
        """Store ``events`` and send them in the background. May be called from any thread."""
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
            self.stored += len(new)
            self._sender.put(new)

    @property
    def left(self) -> int:
        """The messages that are not delivered."""
        return len(self._outbox.waiting)

    def finish(self, timeout_s: float) -> int:
        """Send for at most ``timeout_s`` seconds more. Returns the number of undelivered messages, for ``resend``."""
        return _finish(self._sender, self._outbox, timeout_s, unfinished=False)

    def _message(self, event: Event, receiver: NotifySpec) -> Message:
        """Build a message. Its id is a hash, so that a resumed run gives an event the same id.

        The hash includes a counter of identical events in the run, and the random name of the run: without that, a
        token could be guessed from the id.
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


def resend(job_id: str, folder: Path, options: SenderOptions, timeout_s: float) -> tuple[int, int]:
    """Deliver the messages that earlier runs of a job left in the outbox. The job must not be running.

    Returns:
        Numbers of messages: delivered or dropped, and still undelivered.

    Raises:
        SpecError: ``job_id`` is not a job id.
    """
    outbox = Outbox(folder, job_id)
    before = len(outbox.waiting)
    sender = Sender(outbox.mark_done, options)
    sender.put(outbox.waiting)
    left = _finish(sender, outbox, timeout_s, unfinished=True)
    return before - left, left


def _finish(sender: Sender, outbox: Outbox, timeout_s: float, *, unfinished: bool) -> int:
    try:
        sender.finish(timeout_s)
    finally:
        outbox.remove_done(unfinished=unfinished)
    return len(outbox.waiting)
