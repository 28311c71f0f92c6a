"""Service settings: which there are, and what each accepts; one model for each table of ``conf/owt.toml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr

from owtmix.jobfile.index import TimeUnit, TimeUnitSetting
from owtmix.jobfile.setting_types import (
    APP_KEYS,
    SIGNING_KEY,
    Addresses,
    AppKeys,
    Exact,
    Folders,
    FontPlaces,
    Keys,
    Layer,
    Layers,
    Listener,
    Networks,
    Ports,
    Rounded,
    RtmpPlace,
    Services,
    SigningKey,
    TimeZone,
    WebSocket,
    flag,
    number,
    one_of,
    setting,
    whole,
)

X264Preset = Literal[
    "draft",
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
"""Four points that were measured with pictures of rooms (``encoders.POINTS``), then x264's own presets."""


class _Table(BaseModel):
    """Base of all tables. No message of pydantic's holds a value of the file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


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
    fonts: FontPlaces = setting((), "a list of absolute paths of folders or font files that exist")


class SpeakerSettings(_Table):
    """What counts as speaking, and how the largest tile follows it."""

    turn_s: Exact = number("1", "0.1", "60")
    pause_s: Exact = number("2", "0.1", "60")
    lead_s: Exact = number("0.3", "0", "10")
    hold_s: Exact = number("3", "0.1", "60")
    crosstalk_db: int = whole(15, 3, 60)


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


class ServiceSettings(_Table):
    """The REST service and its recorder."""

    listen: Listener = setting("127.0.0.1:8088", "an address and a port such as 127.0.0.1:8088 or [::]:8088")
    apps: AppKeys = setting({}, APP_KEYS)
    operators: Networks = setting(
        (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")), "a list of networks such as 10.1.0.0/16 or fd00:1::/32"
    )
    token_lifetime_s: int = whole(86_400, 60, 31_536_000)
    token_skew_s: int = whole(300, 0, 86_400)
    max_jobs: int = whole(20, 1, 10_000)
    max_mixes: int = whole(0, 0, 10_000)
    max_streams: int = whole(64, 1, 10_000)
    min_free_mib: int = whole(2048, 0, 2**30)
    days: int = whole(30, 1, 36_500)
    ice_addresses: Addresses = setting((), "a list of addresses of this machine, such as 192.0.2.7; empty for all")
    ice_ports: Ports = setting((0, 0), "a list of the first and the last UDP port; [0, 0] for any")
    key_every_s: int = whole(5, 1, 60)
    gone_s: int = whole(5, 1, 60)
    janus: WebSocket = setting("", "the address of Janus's WebSocket, such as ws://127.0.0.1:8188; empty for none")
    rtmp: RtmpPlace = setting("", "an application of nginx-rtmp, such as rtmp://127.0.0.1:1935/live; empty for none")
    mp4_audio: Literal["aac", "opus"] = one_of("aac", ("aac", "opus"))


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The settings that decide what a plan is; nothing of stores, and no secret."""

    video: VideoSettings = field(default_factory=VideoSettings)
    timeline: TimelineSettings = field(default_factory=TimelineSettings)
    text: TextSettings = field(default_factory=TextSettings)
    speakers: SpeakerSettings = field(default_factory=SpeakerSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)


class LiveSettings(_Table):
    """How a room is composed while it is recorded."""

    mix_chunk_s: Exact = number("2", "2", "10")
    margin_s: Exact = number("1.3", "0.2", "10")


class Settings(_Table):
    """Every setting with its shipped value; ``conf/owt.toml`` explains each."""

    video: VideoSettings = VideoSettings.model_construct()
    index: IndexSettings = IndexSettings.model_construct()
    timeline: TimelineSettings = TimelineSettings.model_construct()
    text: TextSettings = TextSettings.model_construct()
    speakers: SpeakerSettings = SpeakerSettings.model_construct()
    images: ImageSettings = ImageSettings.model_construct()
    storage: StorageSettings = StorageSettings.model_construct()
    local: LocalSettings = LocalSettings.model_construct()
    network: NetworkSettings = NetworkSettings.model_construct()
    callbacks: CallbackSettings = CallbackSettings.model_construct()
    work: WorkSettings = WorkSettings.model_construct()
    logs: LogSettings = LogSettings.model_construct()
    gpu: GpuSettings = GpuSettings.model_construct()
    live: LiveSettings = LiveSettings.model_construct()
    limits: LimitSettings = LimitSettings.model_construct()
    service: ServiceSettings = ServiceSettings.model_construct()

    @property
    def planning(self) -> PlanSettings:
        """What planning needs."""
        return PlanSettings(self.video, self.timeline, self.text, self.speakers, self.limits)

    def with_chunk_s(self, chunk_s: Fraction) -> Settings:
        """These settings with another length of chunks, as the command line gives it."""
        return self.model_copy(update={"video": self.video.model_copy(update={"chunk_s": chunk_s})})

    def with_signing_key(self, secret: SecretBytes | None) -> Settings:
        """These settings with another key to sign callbacks with."""
        return self.model_copy(update={"callbacks": self.callbacks.model_copy(update={"secret": secret})})

    def with_apps(self, apps: dict[str, SecretStr]) -> Settings:
        """These settings with other apps and their keys."""
        return self.model_copy(update={"service": self.service.model_copy(update={"apps": apps})})
