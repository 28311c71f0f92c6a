"""How S3 services are spoken to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class S3Options:
    """How services are spoken to.

    Attributes:
        scheme: Of the endpoint that is built from a ``ucloud`` region.
        internal: Whether that endpoint is the one inside the vendor's network, which has no HTTPS.
        proxy: URL of an HTTP proxy; None connects directly, whatever the environment says.
        connect_timeout_s: For reaching the service.
        read_timeout_s: The longest silence of the service.
        attempts: How often a request is tried that may succeed later. A refusal is not tried again.
        first_pause_s: Before the second attempt at most; it doubles from attempt to attempt, and chance shortens each.
        longest_pause_s: Where the doubling ends.
        parts_at_once: Parts of an upload that are sent at the same time; each holds 8 MiB of memory.
        listing_page: Unfinished uploads in one page of their list.
    """

    scheme: Literal["https", "http"] = "https"
    internal: bool = False
    proxy: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    attempts: int = 5
    first_pause_s: float = 1.0
    longest_pause_s: float = 20.0
    parts_at_once: int = 4
    listing_page: int = 1000
