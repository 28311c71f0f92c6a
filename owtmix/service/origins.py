"""Which web pages may ask a service that takes every token: none but its own, whatever a browser here shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]+)?")


def is_of_this_machine(headers: Mapping[str, str]) -> bool:
    """Whether a request names the service by an address or ``localhost``, and comes from no page of another site.

    A page may have a name of its own resolved to loopback, and ask under that name; by address it cannot.
    """
    host = headers.get("host", "")
    found = _HOST.fullmatch(host)
    origin = headers.get("origin")
    return (
        found is not None
        and _is_local_name(found["host"])
        and (origin is None or origin in {f"http://{host}", f"https://{host}"})
    )


def _is_local_name(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return name.lower() == "localhost"
    return True
