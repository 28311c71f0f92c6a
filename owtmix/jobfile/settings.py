"""Service settings: ``conf/owt.toml``, read once."""

from __future__ import annotations

import base64
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path, PurePosixPath
from typing import Final, get_args
from zoneinfo import available_timezones

from owtmix.base.errors import Problem, SpecError
from owtmix.jobfile.index import TimeUnit

INSTALLATION: Final = Path(__file__).resolve().parents[2]
"""The folder that holds ``bin``, ``conf`` and the package."""

SHIPPED: Final = INSTALLATION / "conf" / "owt.toml"

_SIGNS_CALLBACKS: Final = "OWT_CALLBACK_SECRET"
"""The environment is read by fewer eyes than a file of the installation."""

X264_PRESETS: Final = (
    "fast",
    "balanced",
    "quality",
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
"""Three points that were measured for pictures of rooms (``encoding.POINTS``), then x264's own presets."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a key takes: in words, and as a function that returns the value or raises ValueError or TypeError."""

    accepted: str
    read: Callable[[object], object]
    secret: bool = False


def _one_of(*names: str) -> _Kind:
    def read(value: object) -> str:
        return names[names.index(str(value))]

    return _Kind("one of " + ", ".join(names), read)


def _whole(lowest: int, highest: int) -> _Kind:
    def read(value: object) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError
        return value

    return _Kind(f"a whole number from {lowest} to {highest}", read)


def _number(lowest: str, highest: str, of: Callable[[Fraction], object] = Fraction) -> _Kind:
    """A number, or a fraction such as ``"1/24"``; exact unless ``of`` makes it a float."""

    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
            raise TypeError
        number = Fraction(value)
        if not Fraction(lowest) <= number <= Fraction(highest):
            raise ValueError
        return of(number)

    return _Kind(f'a number from {lowest} to {highest}, also as a fraction such as "1/24"', read)


def _flag() -> _Kind:
    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    return _Kind("true or false", read)


def _keys() -> _Kind:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise TypeError
        if not all(isinstance(key, str) and key and _stays_inside(key) for key in value):
            raise ValueError
        return tuple(value)

    return _Kind("a list of keys such as $JobId.json, none of them absolute or climbing with ..", read)


def _stays_inside(key: str) -> bool:
    path = PurePosixPath(key)
    return not path.is_absolute() and ".." not in path.parts


def _time_zone() -> _Kind:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in available_timezones():
            raise ValueError
        return value

    return _Kind("a time zone such as Asia/Shanghai, Europe/Berlin or UTC", read)


def _folders() -> _Kind:
    def read(value: object) -> tuple[Path, ...]:
        if not isinstance(value, list) or not all(isinstance(folder, str) for folder in value):
            raise TypeError
        folders = tuple(map(Path, value))
        if not all(folder.is_absolute() and folder.is_dir() for folder in folders):
            raise ValueError
        return folders

    return _Kind("a list of absolute paths of folders that exist", read)


def _networks() -> _Kind:
    def read(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
        if not isinstance(value, list) or not all(isinstance(network, str) for network in value):
            raise TypeError
        return tuple(map(ip_network, value))

    return _Kind("a list of networks such as 10.1.0.0/16 or fd00:1::/32", read)


def _signing_key() -> _Kind:
    def read(value: object) -> bytes | None:
        if not isinstance(value, str):
            raise TypeError
        key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
        if value and not key:
            raise ValueError
        return key or None

    return _Kind("whsec_ and base64", read, secret=True)


def _at(key: str, kind: _Kind) -> Mapping[str, object]:
    """Where a field stands in the file, as ``table.key``, and what it takes."""
    return {"key": key, "kind": kind}


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its shipped value; ``conf/owt.toml`` explains each."""

    x264_preset: str = field(default="balanced", metadata=_at("video.x264_preset", _one_of(*X264_PRESETS)))
    vp9_cpu_used: int = field(default=8, metadata=_at("video.vp9_cpu_used", _whole(0, 8)))
    chunk_s: Fraction = field(default=Fraction(30), metadata=_at("video.chunk_s", _number("2", "3600")))
    index_keys: tuple[str, ...] = field(
        default=("$JobId.json", "$JobId/index.json", "$JobId/$JobId.json", "$JobId.info"),
        metadata=_at("index.keys", _keys()),
    )
    index_time_unit: str = field(default="auto", metadata=_at("index.time_unit", _one_of("auto", *get_args(TimeUnit))))
    absence_s: Fraction = field(default=Fraction(1), metadata=_at("timeline.absence_s", _number("0", "3600")))
    gap_s: Fraction = field(default=Fraction(3), metadata=_at("timeline.gap_s", _number("1", "3600")))
    placeholder_delay_s: Fraction = field(
        default=Fraction(1, 2), metadata=_at("timeline.placeholder_delay_s", _number("0", "3600"))
    )
    keep_empty_gaps: bool = field(default=False, metadata=_at("timeline.keep_empty_gaps", _flag()))
    max_duration_s: Fraction = field(
        default=Fraction(24 * 3600), metadata=_at("limits.max_duration_s", _number("1", "604800"))
    )
    worker_memory_mib: int = field(default=4096, metadata=_at("limits.worker_memory_mib", _whole(256, 2**20)))
    worker_silence_s: float = field(default=60.0, metadata=_at("limits.worker_silence_s", _number("1", "3600", float)))
    gpu_memory_mib: int = field(default=1024, metadata=_at("gpu.memory_mib", _whole(64, 2**20)))
    ucloud_internal: bool = field(default=False, metadata=_at("storage.ucloud_internal", _flag()))
    store_attempts: int = field(default=5, metadata=_at("storage.attempts", _whole(1, 100)))
    store_silence_s: float = field(default=60.0, metadata=_at("storage.silence_s", _number("1", "3600", float)))
    max_inputs_mib: int = field(default=102_400, metadata=_at("storage.max_inputs_mib", _whole(1, 2**30)))
    text_height: Fraction = field(default=Fraction(1, 24), metadata=_at("text.height", _number("0.005", "0.5")))
    time_zone: str = field(default="Asia/Shanghai", metadata=_at("text.time_zone", _time_zone()))
    font_folders: tuple[Path, ...] = field(default=(), metadata=_at("text.fonts", _folders()))
    image_timeout_s: float = field(default=10.0, metadata=_at("images.timeout_s", _number("0.1", "300", float)))
    image_max_bytes: int = field(default=16 * 2**20, metadata=_at("images.max_bytes", _whole(1024, 2**30)))
    image_max_pixels: int = field(default=16_000_000, metadata=_at("images.max_pixels", _whole(1, 2**28)))
    network_allow: tuple[IPv4Network | IPv6Network, ...] = field(
        default=(IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")), metadata=_at("network.allow", _networks())
    )
    callback_wait_s: float = field(default=60.0, metadata=_at("callbacks.wait_s", _number("0", "3600", float)))
    callback_key: bytes | None = field(default=None, repr=False, metadata=_at("callbacks.secret", _signing_key()))
    work_days: int = field(default=7, metadata=_at("work.days", _whole(1, 36500)))
    log_days: int = field(default=30, metadata=_at("logs.days", _whole(1, 36500)))


def settings_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that ``OWT_CONF`` names, else the shipped one; None where neither is there."""
    if named := environment.get("OWT_CONF"):
        return Path(named)
    return SHIPPED if SHIPPED.exists() else None


def read_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read ``path``; keys it does not have keep their shipped value, and so do all when ``path`` is None.

    ``OWT_CALLBACK_SECRET`` comes before ``callbacks.secret``.

    Raises:
        SpecError: the file cannot be read, or has keys or values that are not settings; all are listed.
    """
    tables = _tables(path) if path else {}
    known = {str(setting.metadata["key"]): setting for setting in fields(Settings)}
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for key, value in _flatten(tables):
        if key not in known:
            problems.append(Problem(f"{path}: {key}", f"no such setting; there are {', '.join(known)}"))
            continue
        kind: _Kind = known[key].metadata["kind"]
        try:
            values[known[key].name] = kind.read(value)
        except (TypeError, ValueError, ArithmeticError):
            found = "" if kind.secret else f"found {_shown(value)}, "
            problems.append(Problem(f"{path}: {key}", f"{found}accepted is {kind.accepted}"))
    if secret := environment.get(_SIGNS_CALLBACKS):
        kind = _signing_key()
        try:
            values["callback_key"] = kind.read(secret)
        except ValueError:
            problems.append(Problem(_SIGNS_CALLBACKS, f"accepted is {kind.accepted}"))
    if problems:
        raise SpecError(*problems)
    return Settings(**values)  # type: ignore[arg-type]  # each was read by its own field's kind


def _tables(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise SpecError(Problem(str(path), f"the settings cannot be read: {error.strerror}")) from error
    except ValueError as error:
        raise SpecError(Problem(str(path), f"not a TOML file: {error}")) from error


def _flatten(tables: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """``table.key`` and value of every key; one outside of a table is named alone."""
    for name, table in tables.items():
        if isinstance(table, dict):
            yield from ((f"{name}.{key}", value) for key, value in table.items())
        else:
            yield name, table


def _shown(value: object) -> str:
    return repr(str(value) if isinstance(value, Decimal) else value)
