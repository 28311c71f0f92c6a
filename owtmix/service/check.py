"""What ``owt-server --check`` looks at: whether the service can run here with its settings."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from owtmix.base.own_files import make_folder
from owtmix.jobfile.settings import ServiceSettings, Settings
from owtmix.service.arguments import Listener
from owtmix.service.database import DATABASE

_EXTRA: Final = ("aiortc", "httptools", "prometheus_client", "starlette", "uvicorn")
_MIB: Final = 1 << 20
_SQLITE: Final = b"SQLite format 3\0"
MEDIA_LOOPBACK: Final = "127.0.0.1"
"""Where media comes to when the service listens on loopback and no addresses are named."""


def problems(settings: ServiceSettings, listener: Listener, state: Path) -> Iterator[str]:
    """What keeps the service from running, a sentence each. Nothing is left behind but an empty folder."""
    if missing := missing_packages():
        yield f"{missing}: not installed; install owtmix[service]"
    try:
        listener.open().close()
    except OSError as error:
        yield f"cannot listen at {listener}: {error.strerror}"
    for address in settings.ice_addresses:
        try:
            with socket.socket(_family(address), socket.SOCK_DGRAM) as receiving:
                receiving.bind((address, 0))
        except OSError as error:
            yield f"service.ice_addresses: {address} is none of this machine: {error.strerror}"
    first, last = settings.ice_ports
    if (first or last) and not 0 < first <= last < 1 << 16:
        yield "service.ice_ports: accepted are two ports from 1 to 65535, the lower one first, or [0, 0]"
    try:
        make_folder(state)
        database = state / DATABASE
        if database.exists() and not _may_be_database(database):
            yield f"{database} is no database of SQLite"
    except OSError as error:
        yield f"the folder {state} cannot be used: {error.strerror}"


def notes(settings: ServiceSettings, listener: Listener, state: Path) -> Iterator[str]:
    """What keeps the service from doing all that it may be meant to do, a sentence each; it runs nevertheless."""
    if not settings.ice_addresses and listener.is_loopback:
        yield (
            f"media is taken from this machine only, at {MEDIA_LOOPBACK}, as the service listens on loopback: name the "
            "addresses that senders elsewhere reach in service.ice_addresses"
        )
    with suppress(OSError):
        if shutil.disk_usage(state).free < settings.min_free_mib * _MIB:
            yield f"less than {settings.min_free_mib:,} MiB are free in {state}: no job is given until there are more"


def with_media_addresses(settings: Settings, listener: Listener) -> Settings:
    """``settings`` in which media comes to loopback where nothing else is named and the service is there, too."""
    service = settings.service
    if service.ice_addresses or not listener.is_loopback:
        return settings
    service = service.model_copy(update={"ice_addresses": (MEDIA_LOOPBACK,)})
    return settings.model_copy(update={"service": service})


def _may_be_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) in {b"", _SQLITE}


def missing_packages() -> str:
    """Packages of the extra that are not installed."""
    return ", ".join(name for name in _EXTRA if find_spec(name) is None)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
