"""Types of settings, and fields that say in words what they accept."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, SecretBytes, SecretStr

from owtmix.base.named_file import is_file, is_folder
from owtmix.jobfile.object_key import normal_key
from owtmix.net.service_url import service_url

SIGNING_KEY: Final = "whsec_ and base64"
"""What the signing key of callbacks may be, in words."""


Layer = Literal["no-new-privileges", "capabilities", "network", "landlock", "seccomp"]
"""A layer of the confinement of worker processes."""

APP_KEYS: Final = 'a table of AppIds and their keys, such as {"URtc-app1" = "key"}'
"""What the keys of apps may be, in words."""

_PORTS: Final = 2**16

_MAX_EXPONENT: Final = 30
"""Of a number in scientific notation. Exact arithmetic with larger ones takes for ever."""


def setting(default: Any, accepted: str, **limits: Any) -> Any:
    """A key of the settings; ``accepted`` completes "accepted is ..." in messages."""
    return Field(default, description=accepted, **limits)


def whole(default: int, lowest: int, highest: int) -> Any:
    """A key that takes a whole number."""
    return setting(default, f"a whole number from {lowest} to {highest}", ge=lowest, le=highest)


def number(default: str, lowest: str, highest: str, of: Callable[[Fraction], object] = Fraction) -> Any:
    """A key that takes a number; ``of`` is the type of the field, which is float for ``Rounded``."""
    accepted = f'a number from {lowest} to {highest}, also as a fraction such as "1/24"'
    return setting(of(Fraction(default)), accepted, ge=of(Fraction(lowest)), le=of(Fraction(highest)))


def flag(default: bool) -> Any:
    """A key that takes a truth value."""
    return setting(default, "true or false")


def one_of(default: str, names: tuple[str, ...]) -> Any:
    """A key that takes one of some names."""
    return setting(default, "one of " + ", ".join(names))


def signing_key(value: object) -> SecretBytes | None:
    """The bytes that callbacks are signed with; empty text is none.

    Raises:
        ValueError: it is not ``SIGNING_KEY``. The message does not hold it.
    """
    if value is None or isinstance(value, SecretBytes):
        return value
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - pydantic turns a ValueError into a report, a TypeError not
    key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    if value and not key:
        raise ValueError("empty")
    return SecretBytes(key) if key else None


def app_keys(value: object) -> dict[str, SecretStr]:
    """The key of each app.

    Raises:
        ValueError: it is not ``APP_KEYS``. The message does not hold it.
    """
    if not isinstance(value, dict):
        raise ValueError("not a table")  # noqa: TRY004 - as above
    keys = {app: SecretStr(key) if isinstance(key, str) else key for app, key in value.items()}
    if not all(app and isinstance(key, SecretStr) and key.get_secret_value() for app, key in keys.items()):
        raise ValueError("not an AppId and its key")
    return keys


def _listener(value: object) -> str:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not host or not port.isascii() or not port.isdecimal() or int(port) >= _PORTS:
        raise ValueError("not an address and a port")
    ip_address(host.removeprefix("[").removesuffix("]"))
    return f"{host}:{int(port)}"


def _web_socket(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if value and (not parts or parts.scheme not in {"ws", "wss"} or not parts.hostname or parts.username is not None):
        raise ValueError("not an address of a WebSocket")
    return str(value)


def _rtmp_place(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if value and (not parts or parts.scheme != "rtmp" or not parts.hostname or parts.username is not None):
        raise ValueError("not an address of RTMP")
    if value and parts and (parts.port == 0 or parts.query or not re.fullmatch(r"/[A-Za-z0-9_.-]+", parts.path)):
        raise ValueError("not an application of RTMP")
    return str(value)


def _address(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not an address")  # noqa: TRY004 - as above
    return str(ip_address(value))


def _fraction(value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, Fraction, str)):
        raise ValueError("not a number")  # noqa: TRY004 - as above
    try:
        exact = Decimal(value) if isinstance(value, str) and "/" not in value else value
        if isinstance(exact, Decimal) and abs(exact.adjusted()) > _MAX_EXPONENT:
            raise ValueError("out of reach")
        return Fraction(exact)
    except ArithmeticError as error:
        raise ValueError("not a finite number") from error


def _float(value: object) -> float:
    try:
        return value if isinstance(value, float) else float(_fraction(value))
    except OverflowError as error:
        raise ValueError("out of reach") from error


def _stays_inside(key: str) -> str:
    if key.startswith("/"):
        raise ValueError("not a key")
    normal_key(key)
    return key


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not a time zone")
    return name


def _folder(value: object) -> Path:
    if not isinstance(value, (str, Path)):
        raise ValueError("not a path")  # noqa: TRY004 - as above
    folder = Path(value)
    if not folder.is_absolute() or not is_folder(folder):
        raise ValueError("not an absolute path of a folder")
    return folder


def _folder_or_file(value: object) -> Path:
    return _folder(value) if not isinstance(value, (str, Path)) or not is_file(Path(value)) else _absolute(Path(value))


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("not an absolute path")
    return path


def _network(value: object) -> IPv4Network | IPv6Network:
    if not isinstance(value, (str, IPv4Network, IPv6Network)):
        raise ValueError("not a network")  # noqa: TRY004 - as above
    return ip_network(value)


def _service(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not an address")  # noqa: TRY004 - as above
    return service_url(value)


_Listed: Final = Field(strict=False)
"""TOML has lists where the settings have tuples."""

Exact = Annotated[Fraction, BeforeValidator(_fraction)]
"""A number without rounding; times, mostly."""

Rounded = Annotated[float, BeforeValidator(_float)]
"""A number of which the last digit does not matter; how long to wait for others."""

Keys = Annotated[tuple[Annotated[str, AfterValidator(_stays_inside)], ...], Field(strict=False, min_length=1)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Folders = Annotated[tuple[Annotated[Path, BeforeValidator(_folder)], ...], _Listed]
FontPlaces = Annotated[tuple[Annotated[Path, BeforeValidator(_folder_or_file)], ...], _Listed]
Layers = Annotated[tuple[Layer, ...], _Listed]
Networks = Annotated[tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)], ...], _Listed]
Services = Annotated[tuple[Annotated[str, BeforeValidator(_service)], ...], _Listed]
SigningKey = Annotated[SecretBytes | None, BeforeValidator(signing_key)]
Listener = Annotated[str, BeforeValidator(_listener)]
"""An address and a port, such as ``127.0.0.1:8088`` or ``[::]:8088``."""
WebSocket = Annotated[str, BeforeValidator(_web_socket)]
"""The address of a WebSocket, or empty."""
RtmpPlace = Annotated[str, BeforeValidator(_rtmp_place)]
"""The address of an application of a server of RTMP, or empty."""
AppKeys = Annotated[dict[str, SecretStr], BeforeValidator(app_keys)]
Addresses = Annotated[tuple[Annotated[str, BeforeValidator(_address)], ...], _Listed]
Ports = Annotated[tuple[int, int], _Listed]
