"""The job file as written: a pydantic model per JSON object, with defaults, aliases, ranges and descriptions.

The models check each value independently; checks that involve several keys are in ``assemble``. Required keys are
marked with ``REQUIRED`` and default to None: a missing key must not hide other problems.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from owtmix.base.ids import JOB_ID_PATTERN
from owtmix.jobfile.bounds import (
    MAX_NAME,
    MAX_PATH,
    MAX_RECEIVERS,
    MAX_RECORDINGS,
    MAX_SECRET,
    MAX_UPDATES,
    MAX_URL,
)
from owtmix.jobfile.encoding_models import TranscodingConfig
from owtmix.jobfile.fields import choice, items, key, section, string
from owtmix.jobfile.job_model import REQUIRED, STREAM, JobModel
from owtmix.jobfile.mixer_models import MixerConfig, SubscribeConfig
from owtmix.jobfile.object_key import MAX_KEY_BYTES
from owtmix.jobfile.types import HttpUrl, OptionalStreamId, Seconds
from owtmix.jobfile.update_models import Update


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
    names: dict[str, Annotated[str, Field(max_length=MAX_NAME)]] = Field(
        default_factory=dict,
        alias="Names",
        description=f"an object with a name of at most {MAX_NAME} characters for each user id",
        max_length=MAX_RECORDINGS,
    )
    updates: list[Update] = items(
        "Updates", f"a list of at most {MAX_UPDATES:,} objects with At, Action and Data: the room changes", MAX_UPDATES
    )


class JobFile(JobModel):
    """A job.start request: what to compose, and how."""

    json_schema: str = string("$schema", "the address of this schema, for editors", MAX_PATH)
    version: str = string("Version", "text; not used")
    action: Annotated[Literal["job.start"], REQUIRED] = key("Action", '"job.start", the only request a job file makes')
    token: str = string("Token", "text; not used", MAX_SECRET)
    internal: Internal = section("Internal", Internal, "an object with JobId, RoomId, AppId")
    data: Data = section("Data", Data, "an object with RecordingConfig, TranscodingConfig, ...")
