"""Networks with nobody else in them, which may lose datagrams."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NO_NFT: Final = "no nft: make live-packages installs it"
ADDRESS: Final = "10.99.0.1"
"""For what refuses loopback."""
HAS_NFT: Final = bool(shutil.which("nft") and shutil.which("ip"))

_NEW_NETWORK: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Iterator[None]:
    """What this thread starts inside has a network of its own, with loopback and ``ADDRESS``, and nobody else in it.

    It is gone with the last process in it. Root is needed.

    Raises:
        OSError: the kernel refuses it.
    """
    with Path("/proc/thread-self/ns/net").open("rb") as outside:
        _check(_LIBC.unshare(_NEW_NETWORK))
        try:
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
            _run("ip", "address", "add", f"{ADDRESS}/24", "dev", "here")
            for end in ("here", "there"):
                _run("ip", "link", "set", end, "up")
            yield
        finally:
            _check(_LIBC.setns(outside.fileno(), _NEW_NETWORK))


@contextmanager
def lossy_network(per_mille: int) -> Iterator[None]:
    """As ``own_network``; ``per_mille`` of 1,000 datagrams are lost, at random."""
    with own_network():
        _run("nft", "add", "table", "inet", "loss")
        _run("nft", "add", "chain", "inet", "loss", "arriving", "{ type filter hook input priority 0; }")
        condition = ["udp", "dport", "1-65535", "numgen", "random", "mod", "1000", "<", str(per_mille)]
        _run("nft", "add", "rule", "inet", "loss", "arriving", *condition, "counter", "drop")
        yield


def lost_datagrams() -> int:
    """How many were lost so far, called inside."""
    listed = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    return int(listed.partition("counter packets ")[2].split()[0])


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _check(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
