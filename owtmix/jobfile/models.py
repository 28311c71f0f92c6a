"""The job file as written: a pydantic model per JSON object, with defaults, aliases, ranges and descriptions.

The models check each value independently; checks that involve several keys are in ``assemble``. Required keys are
marked with ``REQUIRED`` and default to None: a missing key must not hide other problems.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from owtmix.base.ids import JOB_ID_PATTERN, MAX_STREAM_ID
from owtmix.jobfile.bounds import (
    MAX_CLOCKS,
    MAX_PATH,
    MAX_POSITIONS,
    MAX_RECEIVERS,
    MAX_RECORDINGS,
    MAX_SECRET,
    MAX_TEMPLATES,
    MAX_TEXT,
    MAX_TILES,
    MAX_URL,
    MAX_WATERMARKS,
    MAX_Z,
)
from owtmix.jobfile.fields import choice, items, key, section, string, whole
from owtmix.jobfile.object_key import MAX_KEY_BYTES
from owtmix.jobfile.types import HttpUrl, Opacity, OptionalStreamId, Seconds, UnitFraction

REQUIRED: Final = "required"

STREAM: Final = f'a stream id such as "alice_1", at most {MAX_STREAM_ID} characters'
STREAMS: Final = f'a list of at most {MAX_RECORDINGS:,} stream ids such as "alice_1"'
TEMPLATES: Final = f"a list of at most {MAX_TEMPLATES} templates, each a list of 1 to {MAX_TILES} tiles"
FRACTION: Final = "a fraction from 0 to 1 in quotes with numbers of at most 9 digits"


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add to the schema which keys are required, and that editors should flag unknown ones."""
    required = [field.alias for field in model.model_fields.values() if REQUIRED in field.metadata]
    schema["additionalProperties"] = False
    if required:
        schema["required"] = required


class JobModel(BaseModel):
    """Base class of the models. Types are strict; unknown keys are kept, for a warning."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, json_schema_extra=_describe, defer_build=True)


class Internal(JobModel):
    """The ids of the job."""

    job_id: Annotated[str, REQUIRED] = key(
        "JobId",
        "1 to 128 letters, digits, dots, underscores and dashes, not starting with a dot",
        pattern=f"^{JOB_ID_PATTERN}$",
    )
    app_id: str = string("AppId", "text; $AppId in FileNamePrefix")
    room_id: str = string("RoomId", "text; $RoomId in FileNamePrefix")
    request_id: str = string("RequestId", "text; not used")
    mode: int = choice("Mode", "1 (composing)", 1, 1, 1)
    channel_type: int = choice("ChannelType", "0 or 1; not used", 0, 1, 0)


class JobConfig(JobModel):
    """When the recording ends."""

    idle_time: Seconds = key("IdleTime", "a number of seconds, 0 to 86400", Decimal(60))
    key_stream: OptionalStreamId = key("KeyStream", f'{STREAM}, or "" for none')


class Video(JobModel):
    """The encoding of the picture."""

    codec: Literal["h264"] = key("Codec", '"h264" (a WebM file gets VP9)', "h264")
    width: int | None = whole("Width", "an even number of pixels", 16, 8192, multiple_of=2)
    height: int | None = whole("Height", "an even number of pixels", 16, 8192, multiple_of=2)
    fps: int = whole("Fps", "a whole number of frames per second", 1, 120, 15)
    bit_rate: int | None = whole("BitRate", "a whole number of kbit/s", 16, 200_000)
    profile: Literal["baseline", "main", "high", "highprofile", "highprodile"] = key(
        "Profile", '"baseline", "main", "high" or "highprofile"', "highprofile"
    )


class Audio(JobModel):
    """The encoding of the sound."""

    codec: Literal["aac", "aac_48000_1", "aac_48000_2", "opus"] | None = key(
        "Codec", '"aac", "aac_48000_1" (mono), "aac_48000_2", or "opus" in a WebM file'
    )
    sample_rate: int = choice("SampleRate", "48000", 48_000, 48_000, 48_000)
    bit_rate: int = whole("BitRate", "a whole number of kbit/s", 16, 512, 128)


class TranscodingConfig(JobModel):
    """How the output is encoded."""

    video: Video = section("Video", Video, "an object with Width, Height, Fps, BitRate, Profile")
    audio: Audio = section("Audio", Audio, "an object with Codec, SampleRate, BitRate")
    bit_rate: int = whole("Bitrate", "another place for Video.BitRate: a whole number of kbit/s", 16, 200_000, 1000)


class BackgroundColor(JobModel):
    """The colour where no picture is; black by default."""

    r: int = whole("R", "a whole number", 0, 255, 0)
    g: int = whole("G", "a whole number", 0, 255, 0)
    b: int = whole("B", "a whole number", 0, 255, 0)


class Region(JobModel):
    """A rectangle in pixels from the top left corner."""

    x: Annotated[int, REQUIRED] = whole("X", "a whole number of pixels", 0, 8190)
    y: Annotated[int, REQUIRED] = whole("Y", "a whole number of pixels", 0, 8190)
    width: Annotated[int, REQUIRED] = whole("Width", "a whole number of pixels", 1, 8192)
    height: Annotated[int, REQUIRED] = whole("Height", "a whole number of pixels", 1, 8192)
    z: int = whole("Z", "a whole number; lower ones are drawn first", -MAX_Z - 1, MAX_Z, 0)


class PositionConfig(JobModel):
    """Manual mode: the region of one stream."""

    stream: Annotated[OptionalStreamId, REQUIRED] = key("RtcStreamId", STREAM)
    region: Annotated[Region, REQUIRED] = key("Region", "an object with X, Y, Width, Height and perhaps Z")


class TemplateArea(JobModel):
    """A part of the canvas, in fractions of its width and height."""

    left: Annotated[UnitFraction, REQUIRED] = key("Left", f'{FRACTION}, such as "0" or "2/3"')
    top: Annotated[UnitFraction, REQUIRED] = key("Top", f'{FRACTION}, such as "0" or "2/3"')
    width: Annotated[UnitFraction, REQUIRED] = key("Width", f'{FRACTION}, such as "1/3" or "0.25"')
    height: Annotated[UnitFraction, REQUIRED] = key("Height", f'{FRACTION}, such as "1/3" or "0.25"')


class TemplateTile(JobModel):
    """One tile of a custom template."""

    id: Annotated[str, REQUIRED] = string(
        "Id", "text that no other tile of the template has", default=None, min_length=1
    )
    shape: Literal["rectangle"] = key("Shape", '"rectangle"', "rectangle")
    area: Annotated[TemplateArea, REQUIRED] = key("Area", "an object with Left, Top, Width, Height")


Templates = list[Annotated[list[TemplateTile], Field(min_length=1, max_length=MAX_TILES)]]


class WaterMark(JobModel):
    """A watermark; Type decides which of the other keys are used."""

    type: Annotated[int, REQUIRED] = choice("Type", "0 (nothing), 1 (time), 2 (image) or 3 (text)", 0, 3)
    image: str = string("Image", "an http:// or https:// URL, or a key of the store", MAX_URL)
    text: str = string("Text", "text", MAX_TEXT)
    x: int = whole("X", "a whole number of pixels", 0, 8191, 0)
    y: int = whole("Y", "a whole number of pixels", 0, 8191, 0)
    alpha: Opacity = key("Alpha", "a number, 0 (unseen) to 1 (opaque)", Decimal(1))


class MixerConfig(JobModel):
    """How the picture is composed."""

    max_resolution_stream: OptionalStreamId = key(
        "MaxResolutionStream", f'the stream that gets the largest tile: {STREAM}, or "" for none'
    )
    background: BackgroundColor = section("BackgroundColor", BackgroundColor, "an object with R, G, B")
    resize_mode: int = choice("ResizeMode", "0 (stretch), 1 (fill, cropping) or 2 (fit, with bars)", 0, 2, 2)
    layout: int = choice(
        "MixedVideoLayout",
        "0 (custom), 1 (tile), 2 (vertical), 3 (single), 4 (tile 2) or 5 (vertical 2)",
        0,
        5,
        1,
    )
    layout_config: Templates = items("LayoutConfig", f"for layout 0: {TEMPLATES}", MAX_TEMPLATES)
    layouts: Templates = items("Layouts", f"another name of LayoutConfig: {TEMPLATES}", MAX_TEMPLATES)
    positions: list[PositionConfig] = items(
        "PositionConfig",
        f"for manual mode: a list of at most {MAX_POSITIONS} objects with RtcStreamId and Region",
        MAX_POSITIONS,
    )
    watermarks: Annotated[
        list[WaterMark],
        BeforeValidator(
            _as_list,
            json_schema_input_type=WaterMark | Annotated[list[WaterMark], Field(max_length=MAX_WATERMARKS)],
        ),
    ] = items(
        "WaterMark",
        f"an object with Type, or a list of at most {MAX_WATERMARKS}, of which at most {MAX_CLOCKS} have Type 1",
        MAX_WATERMARKS,
    )


class SubscribeConfig(JobModel):
    """Which streams are in the mix."""

    video_stream_type: int = choice("VideoStreamType", "0 (automatic layout) or 1 (manual positions)", 0, 1, 0)
    max_subscriptions: int = whole("MaxSubscriptions", "a whole number of streams", 1, 64, 32)
    audio_only: list[OptionalStreamId] = items("SubscribeAudio", f"{STREAMS}; only they sound", MAX_RECORDINGS)
    audio_without: list[OptionalStreamId] = items("UnsubscribeAudio", f"{STREAMS}; they are silent", MAX_RECORDINGS)
    video_only: list[OptionalStreamId] = items("SubscribeVideo", f"{STREAMS}; only they show", MAX_RECORDINGS)
    video_without: list[OptionalStreamId] = items("UnsubscribeVideo", f"{STREAMS}; they are hidden", MAX_RECORDINGS)


class StorageConfig(JobModel):
    """A store."""

    vendor: Literal["ucloud", "s3", "local"] = key("Vendor", '"ucloud", "s3" or "local" (a folder)', "ucloud")
    public_key: str = string("PublicKey", "text; may come from the environment instead", MAX_SECRET)
    secret_key: str = string("SecretKey", "text; may come from the environment instead", MAX_SECRET)
    region: str = string("Region", 'for ucloud: the region, such as "cn-bj"', pattern=r"^[A-Za-z0-9._-]*$")
    bucket: Annotated[str, REQUIRED] = string(
        "Bucket", "the bucket; for local a folder, relative to the job file", MAX_PATH, None
    )
    endpoint: str = string("Endpoint", "for s3: the address of the service")


class OutputStorageConfig(StorageConfig):
    """The store of the output."""

    file_name_prefix: str = string(
        "FileNamePrefix", "the output's key; $JobId, $RoomId and $AppId stand for their values", MAX_KEY_BYTES
    )


class RecordingConfig(JobModel):
    """What the output contains, and where it is stored."""

    media_channel: int = choice("MediaChannel", "1 (sound), 2 (picture) or 3 (both)", 1, 3, 3)
    file_type: list[Literal["mp4", "m4a", "webm"]] = Field(
        ["mp4"],
        alias="FileType",
        description='a list of 1 to 3 of "mp4", "webm" or, for sound alone, "m4a"; the first is made',
        min_length=1,
        max_length=3,
    )
    storage: OutputStorageConfig = section("StorageConfig", OutputStorageConfig, "an object with Vendor, Bucket, ...")


class NotifyConfig(JobModel):
    """A receiver of callbacks."""

    status: Annotated[Literal["open", "close"], REQUIRED] = key("Status", '"open" or "close"')
    service: Annotated[Literal["job.record", "job.mixer", "job.oss", "job.living"], REQUIRED] = key(
        "ServiceType", '"job.mixer", "job.oss", "job.record" or "job.living"'
    )
    url: Annotated[HttpUrl, REQUIRED] = key("NotifyUrl", f"an http:// or https:// URL, at most {MAX_URL:,} characters")
    token: str = string("Token", "text, sent along with every event", MAX_SECRET)


class InputConfig(JobModel):
    """Index and store of the recordings, when they are not in the output's store."""

    index: str = string("Index", "the key of the index", MAX_KEY_BYTES)
    storage: StorageConfig | None = key("StorageConfig", "an object with Vendor, Bucket, ...")


class Data(JobModel):
    """The job."""

    job: JobConfig = section("JobConfig", JobConfig, "an object with IdleTime and KeyStream")
    transcoding: TranscodingConfig = section("TranscodingConfig", TranscodingConfig, "an object with Video and Audio")
    mixer: MixerConfig = section("MixerConfig", MixerConfig, "an object with MixedVideoLayout, WaterMark, ...")
    subscribe: SubscribeConfig = section("SubscribeConfig", SubscribeConfig, "an object with VideoStreamType, ...")
    recording: RecordingConfig = section("RecordingConfig", RecordingConfig, "an object with StorageConfig, ...")
    notify: list[NotifyConfig] = items(
        "NotifyConfig",
        f"a list of at most {MAX_RECEIVERS} objects with Status, ServiceType, NotifyUrl, Token",
        MAX_RECEIVERS,
    )
    input: InputConfig = section("InputConfig", InputConfig, "an object with Index and StorageConfig")
    live: Any = key("LiveConfig", "anything; not used by an offline mix")
    stream: Any = key("StreamConfig", "anything; not used by an offline mix")


class JobFile(JobModel):
    """A job.start request: what to compose, and how."""

    json_schema: str = string("$schema", "the address of this schema, for editors", MAX_PATH)
    version: str = string("Version", "text; not used")
    action: Annotated[Literal["job.start"], REQUIRED] = key("Action", '"job.start", the only request a job file makes')
    token: str = string("Token", "text; not used", MAX_SECRET)
    internal: Internal = section("Internal", Internal, "an object with JobId, RoomId, AppId")
    data: Data = section("Data", Data, "an object with RecordingConfig, TranscodingConfig, ...")
