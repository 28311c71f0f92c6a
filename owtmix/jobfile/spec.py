"""What a job asks for, after validation: ``JobSpec`` and its parts, frozen and without defaults of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from typing import Final, Literal

from owtmix.base.colour import Colour
from owtmix.base.geometry import Area, Rect, ResizeMode, Size
from owtmix.base.ids import StreamId

_URL: Final = re.compile(r"(?P<scheme>https?://)((?P<user>[^/?#]*)@)?(?P<place>[^?#]*)([?#](?P<query>.*))?", re.DOTALL)


def url_secrets(source: str) -> tuple[str, ...]:
    """The parts of a URL that may be secret: user and password, and the query, which may be a signature."""
    url = _URL.fullmatch(source)
    return tuple(filter(None, (url["user"], url["query"]))) if url else ()


class MediaChannel(IntEnum):
    """What is recorded (``RecordingConfig.MediaChannel``)."""

    AUDIO = 1
    VIDEO = 2
    BOTH = 3


class LayoutStyle(IntEnum):
    """``MixerConfig.MixedVideoLayout``."""

    CUSTOM = 0
    TILE = 1
    VERTICAL = 2
    SINGLE = 3
    TILE2 = 4
    VERTICAL2 = 5


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """The picture that is written. ``profile`` is one that x264 knows."""

    size: Size
    fps: int
    bit_rate_kbps: int
    profile: Literal["baseline", "main", "high"]


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """The sound that is written: always 48 kHz, 1 or 2 channels."""

    codec: Literal["aac", "opus"]
    channels: int
    bit_rate_kbps: int


@dataclass(frozen=True, slots=True)
class Position:
    """Manual mode: where a stream is shown; lower ``z`` is drawn first, then list order."""

    stream: StreamId
    region: Rect
    z: int


@dataclass(frozen=True, slots=True)
class ClockWatermark:
    """Type 1: the wall clock of the recording. ``x, y`` is the top-left corner in canvas px, ``alpha`` 0..1."""

    x: int
    y: int
    alpha: float


@dataclass(frozen=True, slots=True)
class ImageWatermark:
    """Type 2: an image at its own size, from an http(s) URL or a key of the input store."""

    x: int
    y: int
    alpha: float
    source: str

    @property
    def shown(self) -> str:
        """``source`` without what may be secret: user and password of a URL, and its query, which may be signed."""
        return self.source if (url := _URL.fullmatch(self.source)) is None else f"{url['scheme']}{url['place']}"


@dataclass(frozen=True, slots=True)
class TextWatermark:
    """Type 3: one line of text."""

    x: int
    y: int
    alpha: float
    text: str


Watermark = ClockWatermark | ImageWatermark | TextWatermark


@dataclass(frozen=True, slots=True)
class MixerSpec:
    """Layout and decoration. ``templates`` has one tuple of areas per custom template, in the file's order."""

    max_resolution_stream: StreamId | None
    background: Colour
    resize_mode: ResizeMode
    layout: LayoutStyle
    templates: tuple[tuple[Area, ...], ...]
    positions: tuple[Position, ...]
    watermarks: tuple[Watermark, ...]


@dataclass(frozen=True, slots=True)
class StreamFilter:
    """A white list (``only``; None is everybody) or a black list (``without``) for one kind of media."""

    only: frozenset[StreamId] | None
    without: frozenset[StreamId]

    def admits(self, stream: StreamId) -> bool:
        return stream not in self.without and (self.only is None or stream in self.only)


@dataclass(frozen=True, slots=True)
class SubscriptionSpec:
    """Who is taken into the mix."""

    manual: bool
    max_streams: int
    audio: StreamFilter
    video: StreamFilter


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """Where objects live. The keys are secrets and stay out of every repr."""

    vendor: Literal["ucloud", "s3", "local"]
    bucket: str
    region: str | None
    endpoint: str | None
    public_key: str | None = field(repr=False)
    secret_key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotifySpec:
    """A receiver of events, section 13. Entries whose status is ``close`` are not in the job."""

    service: str
    url: str
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpecWarning:
    """Something in the job file that works otherwise than its author may think."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A whole job. ``video`` is None when only sound is recorded, ``audio`` when only the picture is."""

    job_id: str
    request_id: str
    room_id: str
    app_id: str
    idle_time_s: Fraction
    key_stream: StreamId | None
    video: VideoSpec | None
    audio: AudioSpec | None
    mixer: MixerSpec
    subscription: SubscriptionSpec
    channel: MediaChannel
    container: Literal["mp4", "webm"]
    output: StorageSpec
    output_key: str
    input: StorageSpec
    index_key: str | None
    notify: tuple[NotifySpec, ...]
    warnings: tuple[SpecWarning, ...]
