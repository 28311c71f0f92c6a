"""Models of updates: messages of the API (sections 5 to 8) that change a room at a time, replayed."""

from __future__ import annotations

from typing import Annotated, Any

from owtmix.jobfile.bounds import MAX_SECRET, MAX_STREAMS
from owtmix.jobfile.encoding_models import TranscodingConfig
from owtmix.jobfile.fields import items, key, string
from owtmix.jobfile.job_model import REQUIRED, STREAM, JobModel
from owtmix.jobfile.mixer_models import MixerConfig, SubscribeConfig
from owtmix.jobfile.types import OptionalStreamId, UpdateTime


class StreamConfig(JobModel):
    """What a stream has from now on."""

    stream: Annotated[OptionalStreamId, REQUIRED] = key("RtcStreamId", STREAM)
    has_video: bool = key("HasVideo", "true or false", default=True)
    mute_video: bool = key("MuteVideo", "true or false", default=False)
    has_audio: bool = key("HasAudio", "true or false", default=True)
    mute_audio: bool = key("MuteAudio", "true or false", default=False)


class UpdateData(JobModel):
    """What changes; keys that are not given stay as they are."""

    mixer: MixerConfig | None = key("MixerConfig", "an object with MixedVideoLayout, WaterMark, ...")
    subscribe: SubscribeConfig | None = key("SubscribeConfig", "an object with SubscribeVideo, UnsubscribeVideo, ...")
    transcoding: TranscodingConfig | None = key("TranscodingConfig", "an object with Video")
    stream: list[StreamConfig] = items(
        "StreamConfig", f"a list of at most {MAX_STREAMS} objects with RtcStreamId, MuteVideo, MuteAudio", MAX_STREAMS
    )
    job: Any = key("JobConfig", "anything; not used by an offline mix")
    recording: Any = key("RecordingConfig", "anything; not used by an offline mix")
    notify: Any = key("NotifyConfig", "anything; not used by an offline mix")
    live: Any = key("LiveConfig", "anything; not used by an offline mix")


class Update(JobModel):
    """A change of the room at a time."""

    at: Annotated[UpdateTime | None, REQUIRED] = key(
        "At", 'a time as in the index, or "HH:MM:SS", perhaps with a fraction, of the output'
    )
    action: Annotated[str, REQUIRED] = string(
        "Action",
        '"job.mixer.update", "job.subscribe.update", "job.stream.update", "job.transcoding.update" or "job.update"',
    )
    data: Annotated[UpdateData | None, REQUIRED] = key("Data", "an object with MixerConfig, SubscribeConfig, ...")
    version: str = string("Version", "text; not used")
    token: str = string("Token", "text; not used", MAX_SECRET)
    internal: Any = key("Internal", "anything; not used")
