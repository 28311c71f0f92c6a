"""One event for one receiver, as it is sent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.events import Event

_ID_DIGITS: Final = 32


class Place(NamedTuple):
    """Where a message is in a run: the numbers of its batch, of the event in it, and of the receiver in it.

    Messages for one URL are sent in this order.
    """

    batch: int
    event: int
    receiver: int


@dataclass(frozen=True, slots=True)
class RepeatedEvent:
    """An event of a run; ``repeat`` counts those that are equal to it, from 1."""

    event: Event
    repeat: int


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
    place: Place


@dataclass(frozen=True, slots=True)
class Origin:
    """What the messages of a batch have in common: job, run and request."""

    job_id: str
    run: str
    request_id: str

    def message(self, repeated: RepeatedEvent, receiver: NotifySpec, place: Place) -> Message:
        """The message of an event for ``receiver``. Its id is a hash, so that a resumed run gives an event the same id.

        The hash includes the number of equal events in the run, and the random name of the run: without that, a token
        could be guessed from the id.
        """
        event = repeated.event
        content = json.dumps([self.job_id, self.run, receiver.url, receiver.token, event.type, event.data])
        digest = hashlib.sha256(f"{repeated.repeat}{content}".encode()).hexdigest()
        return Message(
            id=f"msg_{digest[:_ID_DIGITS]}",
            event=event.type,
            droppable=event.droppable,
            url=receiver.url,
            body=event.body(self.job_id, self.request_id, receiver.token),
            place=place,
        )


class Messages(Protocol):
    """The undelivered messages for one URL, in order."""

    def first(self) -> Message | None:
        """The message to be sent next; None when there is none yet."""

    def done(self) -> None:
        """The first message was delivered."""

    def leave(self) -> None:
        """The first message is left, and the next one is sent."""

    def drop(self) -> None:
        """The first message is never sent."""

    def flush(self) -> None:
        """Write what is not written."""
