"""Addresses of clusters, as the command line takes them. Imports nothing, so that wrong arguments are told at once."""

from __future__ import annotations

import re
from typing import Final

_ADDRESS: Final = re.compile(r"auto|(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")
_LOOPBACK: Final = ("127.", "localhost:", "[::1]:")


def is_address(text: str) -> bool:
    """Whether it can be the address of a cluster: ``auto``, or a host and a port."""
    return bool(_ADDRESS.fullmatch(text))


def is_loopback(address: str) -> bool:
    """Whether it is of this machine alone."""
    return address.startswith(_LOOPBACK)
