"""Service settings: ``conf/owt.toml``, read once into one model for each of its tables."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, SecretBytes, ValidationError

from owtmix.base.errors import Problem, SettingsError
from owtmix.base.named_file import read_named_file
from owtmix.base.strict_json import printable
from owtmix.jobfile.bounds import MAX_SETTINGS_BYTES
from owtmix.jobfile.index import TimeUnit, TimeUnitSetting
from owtmix.jobfile.setting_types import (
    SIGNING_KEY,
    Exact,
    Folders,
    Keys,
    Layer,
    Layers,
    Networks,
    Rounded,
    Services,
    SigningKey,
    TimeZone,
    flag,
    number,
    one_of,
    setting,
    signing_key,
    whole,
)

INSTALLATION: Final = Path(__file__).resolve().parents[2]
"""The folder that holds the package; in a checkout also ``bin`` and ``conf``."""

SHIPPED: Final = Path(__file__).resolve().parents[1] / "owt.toml"
"""The settings inside the package. They are a copy of ``conf/owt.toml``, since a wheel has no files outside of it."""

_SIGNS_CALLBACKS: Final = "OWT_CALLBACK_SECRET"
"""The environment variable with the signing key. Fewer users can read it than a file of the installation."""

_NOT_SHOWN: Final = {("callbacks",), ("callbacks", "secret")}
"""Where the signing key may be."""

_URLS: Final = ("storage", "own_endpoints")
"""Where addresses with a password may be, also without a scheme."""

X264Preset = Literal[
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
]
"""Three presets that were measured with pictures of rooms (``encoders.POINTS``), then x264's own presets."""


class _Table(BaseModel):
    """Base of all tables. No message of pydantic's holds a value of the file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class VideoSettings(_Table):
    """How the picture is encoded."""

    x264_preset: X264Preset = one_of("balanced", get_args(X264Preset))
    vp9_cpu_used: int = whole(8, 0, 8)
    chunk_s: Exact = number("30", "2", "3600")


class IndexSettings(_Table):
    """How the index is found and read."""

    keys: Keys = setting(
        ("$JobId.json", "$JobId/index.json", "$JobId/$JobId.json", "$JobId.info"),
        "a list of keys such as $JobId.json, none of them absolute or climbing with ..",
    )
    time_unit: TimeUnitSetting = one_of("auto", ("auto", *get_args(TimeUnit)))


class TimelineSettings(_Table):
    """What counts as absence, and when timestamps are not believed."""

    absence_s: Exact = number("1", "0", "3600")
    gap_s: Exact = number("3", "1", "3600")
    placeholder_delay_s: Exact = number("0.5", "0", "3600")
    keep_empty_gaps: bool = flag(default=False)
    beside_s: Exact = number("2", "0.1", "60")
    jump_s: Exact = number("3", "1", "3600")
    lone_jump_s: Exact = number("3600", "10", "86400")


class TextSettings(_Table):
    """How text is drawn."""

    height: Exact = number("1/24", "0.005", "0.5")
    time_zone: TimeZone = setting("Asia/Shanghai", "a time zone such as Asia/Shanghai, Europe/Berlin or UTC")
    fonts: Folders = setting((), "a list of absolute paths of folders that exist")


class ImageSettings(_Table):
    """Limits of watermark images."""

    timeout_s: Rounded = number("10", "0.1", "300", float)
    max_bytes: int = whole(16 * 2**20, 1024, 2**30)
    max_pixels: int = whole(16_000_000, 1, 2**28)
    max_total_pixels: int = whole(64_000_000, 1, 2**30)


class StorageSettings(_Table):
    """How stores are accessed."""

    ucloud_internal: bool = flag(default=False)
    attempts: int = whole(5, 1, 100)
    silence_s: Rounded = number("60", "1", "3600", float)
    max_inputs_mib: int = whole(102_400, 1, 2**30)
    own_endpoints: Services = setting((), "a list of addresses such as https://s3.example.com")


class LocalSettings(_Table):
    """Which folders a job file may use."""

    roots: Folders = setting((), "a list of absolute paths of folders that exist; empty for the job file's own folder")


class NetworkSettings(_Table):
    """Which addresses may be connected to besides the public ones."""

    allow: Networks = setting(
        (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")), "a list of networks such as 10.1.0.0/16 or fd00:1::/32"
    )


class CallbackSettings(_Table):
    """How callbacks are sent."""

    wait_s: Rounded = number("60", "0", "3600", float)
    secret: SigningKey = setting(None, SIGNING_KEY)

    @property
    def signing_key(self) -> bytes | None:
        """The secret itself; not for messages."""
        return self.secret.get_secret_value() if self.secret else None


class WorkSettings(_Table):
    """How long unfinished work is kept."""

    days: int = whole(7, 1, 36500)


class LogSettings(_Table):
    """How long logs are kept."""

    days: int = whole(30, 1, 36500)


class GpuSettings(_Table):
    """What a GPU may be used for."""

    memory_mib: int = whole(1024, 64, 2**20)


class LimitSettings(_Table):
    """What is refused or ended."""

    max_duration_s: Exact = number("86400", "1", "604800")
    worker_memory_mib: int = whole(4096, 256, 2**20)
    worker_silence_s: Rounded = number("60", "1", "3600", float)
    require_confinement: Layers = setting((), f"a list of {', '.join(get_args(Layer))}")


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The settings that decide what a plan is; nothing of stores, and no secret."""

    video: VideoSettings = field(default_factory=VideoSettings)
    timeline: TimelineSettings = field(default_factory=TimelineSettings)
    text: TextSettings = field(default_factory=TextSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)


class Settings(_Table):
    """Every setting with its shipped value; ``conf/owt.toml`` explains each."""

    video: VideoSettings = VideoSettings()
    index: IndexSettings = IndexSettings()
    timeline: TimelineSettings = TimelineSettings()
    text: TextSettings = TextSettings()
    images: ImageSettings = ImageSettings()
    storage: StorageSettings = StorageSettings()
    local: LocalSettings = LocalSettings()
    network: NetworkSettings = NetworkSettings()
    callbacks: CallbackSettings = CallbackSettings()
    work: WorkSettings = WorkSettings()
    logs: LogSettings = LogSettings()
    gpu: GpuSettings = GpuSettings()
    limits: LimitSettings = LimitSettings()

    @property
    def planning(self) -> PlanSettings:
        """What planning needs."""
        return PlanSettings(self.video, self.timeline, self.text, self.limits)

    def with_chunk_s(self, chunk_s: Fraction) -> Settings:
        """These settings with another length of chunks, as the command line gives it."""
        return self.model_copy(update={"video": self.video.model_copy(update={"chunk_s": chunk_s})})

    def with_signing_key(self, secret: SecretBytes | None) -> Settings:
        """These settings with another key to sign callbacks with."""
        return self.model_copy(update={"callbacks": self.callbacks.model_copy(update={"secret": secret})})


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

    ``OWT_CALLBACK_SECRET`` comes before ``callbacks.secret``.

    Raises:
        SettingsError: the file cannot be read, or has keys or values that are not settings; all are listed.
            Neither the error nor its context contains the signing key.
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
