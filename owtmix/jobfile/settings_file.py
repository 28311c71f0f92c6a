"""The settings file ``conf/owt.toml``: where it is, and how it is read."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from owtmix.base.errors import Problem, SettingsError
from owtmix.base.named_file import read_named_file
from owtmix.base.strict_json import printable
from owtmix.jobfile.bounds import MAX_SETTINGS_BYTES
from owtmix.jobfile.setting_types import SIGNING_KEY, app_keys, signing_key
from owtmix.jobfile.settings import Settings

INSTALLATION: Final = Path(__file__).resolve().parents[2]
"""The folder that holds the package; in a checkout also ``bin`` and ``conf``."""

SHIPPED: Final = Path(__file__).resolve().parents[1] / "owt.toml"
"""The settings inside the package. They are a copy of ``conf/owt.toml``, since a wheel has no files outside of it."""

_SIGNS_CALLBACKS: Final = "OWT_CALLBACK_SECRET"
"""The environment variable with the signing key. Fewer users can read it than a file of the installation."""

_NAMES_APPS: Final = "OWT_APPS"
"""The environment variable with the apps of the service and their keys, as JSON."""

_NOT_SHOWN: Final = {("callbacks",), ("callbacks", "secret"), ("service",), ("service", "apps")}
"""Where keys may be."""

_URLS: Final = ("storage", "own_endpoints")
"""Where addresses with a password may be, also without a scheme."""


def is_checkout(folder: Path) -> bool:
    """Whether ``folder`` is an installation with the command and the settings in it, and not only with the package.

    The folder around an installed wheel, ``site-packages``, is none.
    """
    return (folder / "conf").is_dir() and (folder / "bin" / "owt-main").is_file()


def settings_file(environment: Mapping[str, str] = os.environ, installation: Path = INSTALLATION) -> Path:
    """The file that ``OWT_CONF`` names, else ``conf/owt.toml`` of the installation, else the one in the package.

    One of the installation that cannot be seen counts: who reads it learns why.
    """
    if named := environment.get("OWT_CONF"):
        return Path(named)
    own = installation / "conf" / "owt.toml"
    try:
        own.stat()
    except (FileNotFoundError, NotADirectoryError):
        return SHIPPED
    except OSError:
        pass
    return own


def read_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read ``path``; keys it does not have keep their shipped value, and so do all when ``path`` is None.

    ``OWT_CALLBACK_SECRET`` comes before ``callbacks.secret``, and ``OWT_APPS`` before ``service.apps``.

    Raises:
        SettingsError: the file cannot be read, or has keys or values that are not settings; all are listed.
            Neither the error nor its context contains a key.
    """
    tables = _tables(path) if path else {}
    settings = Settings()
    problems: list[Problem] = []
    try:
        settings = Settings.model_validate(tables)
    except ValidationError as error:
        problems += [Problem(f"{path}: {key}", message) for key, message in _wrong(error, tables)]
    if secret := environment.get(_SIGNS_CALLBACKS):
        try:
            settings = settings.with_signing_key(signing_key(secret))
        except ValueError:
            problems.append(Problem(_SIGNS_CALLBACKS, f"accepted is {SIGNING_KEY}"))
    if apps := environment.get(_NAMES_APPS):
        try:
            settings = settings.with_apps(app_keys(json.loads(apps)))
        except (ValueError, RecursionError):
            problems.append(Problem(_NAMES_APPS, 'accepted is JSON such as {"URtc-app1": "key"}'))
    if problems:
        raise SettingsError(*problems)
    return settings


def _tables(path: Path) -> dict[str, Any]:
    try:
        data = read_named_file(path, MAX_SETTINGS_BYTES)
        if len(data) > MAX_SETTINGS_BYTES:
            raise SettingsError(Problem(str(path), f"the settings cannot have more than {MAX_SETTINGS_BYTES:,} bytes"))
        return tomllib.loads(data.decode(), parse_float=Decimal)
    except OSError as error:
        raise SettingsError(Problem(str(path), f"the settings cannot be read: {error.strerror}")) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(Problem(str(path), f"not a TOML file: {error}")) from None


def _wrong(error: ValidationError, tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each wrong key once, as ``table.key``, and what is wrong with it."""
    kinds = {
        details["loc"][:2]: details["type"]
        for details in error.errors(include_url=False, include_context=False, include_input=False)
    }
    for loc, kind in kinds.items():
        key = printable(".".join(map(str, loc)), 100)
        if kind == "extra_forbidden":
            yield key, f"no such setting; there are {', '.join(_known())}"
            continue
        value: Any = tables
        for part in loc:
            value = value[part]
        found = "" if loc in _NOT_SHOWN else f"found {_shown(value, whole=loc != _URLS)}, "
        yield key, f"{found}accepted is {_accepted(*loc)}"


def _known() -> Iterator[str]:
    for table, described in Settings.model_fields.items():
        assert described.annotation
        yield from (f"{table}.{key}" for key in described.annotation.model_fields)


def _accepted(table: str | int, key: str | int | None = None) -> str:
    model = Settings.model_fields[str(table)].annotation
    assert model
    if key is None:
        return f"a table with the keys {', '.join(model.model_fields)}"
    return str(model.model_fields[str(key)].description)


def _shown(value: object, *, whole: bool = True) -> str:
    """A value about as TOML has it, on one line and not too long; of URLs not ``whole``, without user and password."""
    if isinstance(value, list):
        return printable(f"[{', '.join(_shown(one, whole=whole) for one in value)}]", 200)
    if isinstance(value, (str, dict)):
        text = repr(value)
        return printable(text if whole else re.sub(r"(?s)^(.).*@", r"\1***@", text), 200)
    return str(value).lower() if isinstance(value, bool) else str(value)
