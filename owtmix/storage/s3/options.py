"""The connection settings of S3 stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from owtmix.net.addresses import LOOPBACK, Network


@dataclass(frozen=True, slots=True)
class S3Options:
    """Endpoint, timeouts, retries and parallelism.

    Attributes:
        scheme: Scheme of the endpoint that is built from a ``ucloud`` region.
        internal: Whether that endpoint is the one inside the vendor's network, which has no HTTPS.
        allowed: Networks that services may be in, besides the public ones.
        own_endpoints: Services, in the normal form of ``owtmix.net.service_url``, to which keys of the environment and
            of the files of the AWS tools may be sent, besides those of the vendors of these keys.
        proxy: URL of an HTTP proxy; None connects directly, also when the environment names a proxy.
        connect_timeout_s: Seconds until a connection must be established.
        read_timeout_s: Seconds without any data from the service until a request has failed.
        attempts: How often a request is tried whose failure may be temporary. A refusal is not tried again.
        first_pause_s: Upper bound of the pause after the first attempt, in seconds; see ``owtmix.base.backoff``.
        longest_pause_s: Upper bound of every pause, in seconds.
        parts_at_once: Parts of an upload that are sent at the same time; each takes 8 MiB of memory.
        listing_page: Unfinished uploads per page of their list.
        uploads: Folder in which the ids of unfinished uploads are kept, for the next run; None keeps none.
    """

    scheme: Literal["https", "http"] = "https"
    internal: bool = False
    allowed: Sequence[Network] = LOOPBACK
    own_endpoints: Sequence[str] = ()
    proxy: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    attempts: int = 5
    first_pause_s: float = 1.0
    longest_pause_s: float = 20.0
    parts_at_once: int = 4
    listing_page: int = 1000
    uploads: Path | None = None
