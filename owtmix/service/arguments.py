"""Parsing of the command line of ``owt-server``."""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Final

_EPILOG: Final = """\
Settings are in conf/owt.toml, [service]; keys of apps come from there or from OWT_APPS in the environment.

SIGTERM ends all jobs, finishes and uploads what they recorded, and then ends the service. A second one ends it at once:
the next start goes on.

exit status:
  0    the service ended, or --check found nothing wrong
  1    not set up: the settings are wrong, the address is taken, the database cannot be used
  2    an option is wrong
"""
_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9.]+):(?P<port>[0-9]{1,5})")
_PORTS: Final = 2**16
_BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the service listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Listener:
        """Raises ``ValueError`` where ``text`` is no address and port."""
        found = _ADDRESS.fullmatch(text)
        try:
            host = str(ip_address(found["host"].strip("[]"))) if found else ""
        except ValueError:
            host = ""
        if not found or not host or int(found["port"]) >= _PORTS:
            raise ValueError("accepted is an address and a port such as 127.0.0.1:8088 or [::]:8088")
        return cls(host, int(found["port"]))

    def open(self) -> socket.socket:
        """Listen there.

        Raises:
            OSError: that is not possible.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.create_server((self.host, self.port), family=family, backlog=_BACKLOG)
        # Connections inherit it: else the body of an answer, a packet of its own, waits for 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening

    @property
    def is_loopback(self) -> bool:
        return ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parsed arguments; what is None is as in the settings."""

    conf: Path | None
    listen: Listener | None
    state: Path | None
    check: bool


def read_arguments(argv: Sequence[str]) -> Arguments:
    """Parse ``argv``. Wrong arguments exit with status 2, ``--help`` and ``--version`` with 0."""
    return Arguments(**vars(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="owt-server",
        description="Records live rooms, as its callers ask by the REST API (docs/service.md).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"owt-server {version('owtmix')}")
    add("--conf", type=Path, metavar="FILE", help="settings; conf/owt.toml without")
    add("--listen", type=_listener, metavar="ADDRESS:PORT", help="listen there, and not where the settings say")
    add("--state", type=Path, metavar="FOLDER", help="keep the database and recordings there")
    add("--check", action="store_true", help="say what is wrong with the settings and this machine, and end")
    return parser


def _listener(text: str) -> Listener:
    try:
        return Listener.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
