"""How callbacks are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from owtmix.jobfile.bounds import MAX_RECEIVERS
from owtmix.net.addresses import LOOPBACK, Network


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """Where callbacks may go, how they are signed and when they are retried.

    Attributes:
        allowed: Networks that receivers may be in, besides the public ones.
        key: Signs each request; None leaves them unsigned.
        attempt_s: Timeout of one attempt in seconds, including the DNS look-up.
        first_pause_s: Upper bound of the pause after the first attempt, in seconds; see ``owtmix.base.backoff``.
        longest_pause_s: Upper bound of every pause, in seconds.
        most_attempts: At the same time: each holds a connection. Earlier runs may have left messages for more
            receivers than a job has.
        forgets: Whether a receiver is forgotten once it has all its messages, so that one who was gone is asked again.
    """

    allowed: Sequence[Network] = LOOPBACK
    key: bytes | None = field(default=None, repr=False)
    attempt_s: float = 10.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    most_attempts: int = MAX_RECEIVERS
    forgets: bool = False
