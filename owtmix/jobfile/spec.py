"""``JobSpec``, a validated job, and its parts: frozen, with all defaults filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

from owtmix.base.colour import Colour
from owtmix.base.geometry import Anchor, Area, Rect, ResizeMode, Size
from owtmix.base.ids import StreamId

if TYPE_CHECKING:
    from owtmix.jobfile.updates import RoomUpdates

_URL: Final = re.compile(
    r"(?P<scheme>(?i:https?)://)((?P<user>[^/?#]*)@)?(?P<place>[^?#]*)([?#](?P<query>.*))?", re.DOTALL
)


def url_secrets(source: str) -> tuple[str, ...]:
    """The parts of an http(s) URL that may be secret: user and password, and query and fragment."""
    url = _URL.fullmatch(source)
    return tuple(filter(None, (url["user"], url["query"]))) if url else ()


class MediaChannel(IntEnum):
    """Which media the output has (``RecordingConfig.MediaChannel``)."""

    AUDIO = 1
    VIDEO = 2
    BOTH = 3


class LayoutStyle(IntEnum):
    """``MixerConfig.MixedVideoLayout`` (docs/layouts.md)."""

    CUSTOM = 0
    TILE = 1
    VERTICAL = 2
    SINGLE = 3
    TILE2 = 4
    VERTICAL2 = 5


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """The video encoding. ``size`` is in pixels, ``fps`` in frames per second; ``profile`` is an H.264 profile."""

    size: Size
    fps: int
    bit_rate_kbps: int
    profile: Literal["baseline", "main", "high"]


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """The audio encoding: 48 kHz, 1 or 2 channels."""

    codec: Literal["aac", "opus"]
    channels: int
    bit_rate_kbps: int


@dataclass(frozen=True, slots=True)
class Position:
    """Manual mode: the region of a stream, in pixels. Lower ``z`` is drawn first, at equal ``z`` in list order."""

    stream: StreamId
    region: Rect
    z: int


@dataclass(frozen=True, slots=True)
class ClockWatermark:
    """Type 1: the wall clock of the recording, ``x, y`` pixels from its ``anchor``; ``alpha`` 0..1."""

    x: int
    y: int
    alpha: float
    anchor: Anchor = Anchor.TOP_LEFT


@dataclass(frozen=True, slots=True)
class ImageWatermark:
    """Type 2: an image, ``width`` pixels wide or in its own size.

    ``source`` is an http(s) URL or a key of the input store.
    """

    x: int
    y: int
    alpha: float
    source: str
    anchor: Anchor = Anchor.TOP_LEFT
    width: int | None = None

    def size(self, image: Size) -> Size:
        """The size in which an image of its own size ``image`` is drawn."""
        if self.width is None:
            return image
        return Size(self.width, max(1, round(Fraction(image.height * self.width, image.width))))

    @property
    def shown(self) -> str:
        """``source`` for messages: a URL without user, password, query and fragment."""
        return self.source if (url := _URL.fullmatch(self.source)) is None else f"{url['scheme']}{url['place']}"


@dataclass(frozen=True, slots=True)
class TextWatermark:
    """Type 3: one line of text."""

    x: int
    y: int
    alpha: float
    text: str
    anchor: Anchor = Anchor.TOP_LEFT


Watermark = ClockWatermark | ImageWatermark | TextWatermark


@dataclass(frozen=True, slots=True)
class MixerSpec:
    """How the picture is composed. ``templates`` has one tuple of areas per custom template, in the file's order.

    With ``audio_only`` streams without a picture have tiles. At most ``page_size`` tiles are shown at a time, for
    ``page_s`` seconds; 0 shows all.
    """

    max_resolution_stream: StreamId | None
    background: Colour
    resize_mode: ResizeMode
    layout: LayoutStyle
    templates: tuple[tuple[Area, ...], ...]
    positions: tuple[Position, ...]
    watermarks: tuple[Watermark, ...]
    labels: bool = False
    follow_speaker: bool = False
    screen_first: bool = False
    speaker_border: bool = False
    audio_only: bool = False
    page_size: int = 0
    page_s: Fraction = Fraction(10)
    corner_px: int = 0
    gap_px: int = 0
    transition_s: Fraction = Fraction(0)

    @property
    def listens(self) -> bool:
        """Whether who speaks decides what is shown."""
        return self.follow_speaker or self.speaker_border or self.page_size > 0


@dataclass(frozen=True, slots=True)
class StreamFilter:
    """An allow list (``only``; None for all) or a deny list (``without``) of streams, for audio or for video."""

    only: frozenset[StreamId] | None
    without: frozenset[StreamId]

    def admits(self, stream: StreamId) -> bool:
        return stream not in self.without and (self.only is None or stream in self.only)


@dataclass(frozen=True, slots=True)
class SubscriptionSpec:
    """Which streams are in the mix."""

    manual: bool
    max_streams: int
    audio: StreamFilter
    video: StreamFilter


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """A store. The access keys are secret and left out of the repr."""

    vendor: Literal["ucloud", "s3", "local"]
    bucket: str
    region: str | None
    endpoint: str | None
    public_key: str | None = field(repr=False)
    secret_key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotifySpec:
    """A receiver of callbacks (API document, section 13). Entries with status ``close`` are not in the job."""

    service: str
    url: str
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpecWarning:
    """Something in the job file that may not have the effect its author expects."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A validated job. ``video`` is None for sound only, ``audio`` for picture only.

    ``extensions`` are those that the name of the output may have. ``updates`` say what changes while the room runs.
    ``names`` are those of users by their ids.
    """

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
    extensions: tuple[str, ...]
    output: StorageSpec
    output_key: str
    input: StorageSpec
    index_key: str | None
    notify: tuple[NotifySpec, ...]
    warnings: tuple[SpecWarning, ...]
    updates: RoomUpdates | None = field(default=None, repr=False, compare=False)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def images(self) -> tuple[ImageWatermark, ...]:
        """The watermark images that are ever shown, and perhaps others of updates."""
        marks = (*self.mixer.watermarks, *(self.updates.images if self.updates else ()))
        return tuple(dict.fromkeys(mark for mark in marks if isinstance(mark, ImageWatermark)))
