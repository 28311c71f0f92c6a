"""Turns the validated models of a job file into a ``JobSpec``. Checks that involve several keys are here."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Literal

from owtmix.base.ids import StreamId
from owtmix.base.strict_json import Loc
from owtmix.jobfile.assemble_storage import index_key, output_key, storage_spec
from owtmix.jobfile.assemble_video import mixer_spec, video_spec
from owtmix.jobfile.encoding_models import Audio
from owtmix.jobfile.mixer_models import SubscribeConfig
from owtmix.jobfile.models import Data, JobFile, NotifyConfig
from owtmix.jobfile.object_key import output_extensions
from owtmix.jobfile.problems import ProblemCollector
from owtmix.jobfile.spec import (
    AudioSpec,
    JobSpec,
    MediaChannel,
    NotifySpec,
    StorageSpec,
    StreamFilter,
    SubscriptionSpec,
)

_RECORDING: Final[Loc] = ("Data", "RecordingConfig")
_STORAGE: Final[Loc] = (*_RECORDING, "StorageConfig")
_INPUT: Final[Loc] = ("Data", "InputConfig")
_AUDIO_CODEC: Final[Loc] = ("Data", "TranscodingConfig", "Audio", "Codec")
_AUDIO_BIT_RATE: Final[Loc] = ("Data", "TranscodingConfig", "Audio", "BitRate")
OPUS_CHANNEL_KBPS: Final = 256
_SUBSCRIBE: Final[Loc] = ("Data", "SubscribeConfig")


def assemble(file: JobFile, collector: ProblemCollector) -> JobSpec | None:
    """Build the job; None when ``collector`` has problems, including those found here.

    In ``file``, values with reported problems have been replaced by their defaults, or by None if required.
    """
    data = file.data
    channel = MediaChannel(data.recording.media_channel)
    container: Literal["mp4", "webm"] = "webm" if data.recording.file_type[0] == "webm" else "mp4"
    extensions = _extensions(data.recording.file_type[0], channel, collector)
    output = storage_spec(data.recording.storage, _STORAGE, collector)
    prefix = data.recording.storage.file_name_prefix
    video = video_spec(data.transcoding, channel, collector)
    audio = _audio(data.transcoding.audio, container, collector)
    mixer = mixer_spec(data.mixer, data, channel, collector)
    subscription = subscription_spec(data.subscribe, collector)
    key = output_key(prefix, extensions, (*_STORAGE, "FileNamePrefix"), file.internal, collector)
    index = index_key(data.input.index, (*_INPUT, "Index"), file.internal, collector)
    source = _input(data, output, collector)
    _warn(data, channel, collector)
    if collector.problems:
        return None
    return JobSpec(
        job_id=file.internal.job_id,
        request_id=file.internal.request_id,
        room_id=file.internal.room_id,
        app_id=file.internal.app_id,
        idle_time_s=Fraction(data.job.idle_time),
        key_stream=data.job.key_stream,
        video=video,
        audio=None if channel is MediaChannel.VIDEO else audio,
        mixer=mixer,
        subscription=subscription,
        channel=channel,
        container=container,
        extensions=extensions,
        output=output,
        output_key=key,
        input=source,
        index_key=index,
        notify=_notify(data.notify),
        warnings=tuple(collector.warnings),
        names={user: name for user, name in data.names.items() if name},
    )


def _extensions(
    file_type: Literal["mp4", "m4a", "webm"], channel: MediaChannel, collector: ProblemCollector
) -> tuple[str, ...]:
    """The extensions that fit the output's file, the usual one first."""
    is_sound = channel is MediaChannel.AUDIO
    if file_type == "m4a" and not is_sound and collector.is_clean((*_RECORDING, "MediaChannel")):
        collector.problem((*_RECORDING, "FileType"), '"m4a" holds sound only; accepted with MediaChannel 1')
    return output_extensions(file_type, is_sound=is_sound)


def _audio(model: Audio, container: Literal["mp4", "webm"], collector: ProblemCollector) -> AudioSpec:
    """The audio encoding: AAC in MP4, Opus in WebM."""
    written = model.codec or ""
    if collector.is_clean((*_RECORDING, "FileType")):
        if container == "mp4" and written == "opus":
            collector.problem(
                _AUDIO_CODEC, 'found "opus"; accepted in an MP4 file: "aac", "aac_48000_1", "aac_48000_2"'
            )
        if container == "webm" and written.startswith("aac"):
            collector.warn(_AUDIO_CODEC, f'a WebM file has no AAC: "{written}" becomes Opus')
    channels = 1 if written.endswith("_1") else 2
    rate_kbps = model.bit_rate
    if container == "webm" and rate_kbps > OPUS_CHANNEL_KBPS * channels:
        rate_kbps = OPUS_CHANNEL_KBPS * channels
        collector.warn(
            _AUDIO_BIT_RATE, f"more than Opus accepts for {channels} channel(s); {rate_kbps} kbit/s are used"
        )
    return AudioSpec(codec="opus" if container == "webm" else "aac", channels=channels, bit_rate_kbps=rate_kbps)


def subscription_spec(
    model: SubscribeConfig,
    collector: ProblemCollector,
    audio: StreamFilter | None = None,
    video: StreamFilter | None = None,
) -> SubscriptionSpec:
    """Which streams are in the mix, by ``audio`` and ``video`` where these filters were assembled before."""
    return SubscriptionSpec(
        manual=bool(model.video_stream_type),
        max_streams=model.max_subscriptions,
        audio=audio or _filter("Audio", model.audio_only, model.audio_without, collector),
        video=video or _filter("Video", model.video_only, model.video_without, collector),
    )


def _filter(
    kind: str, only: list[StreamId | None], without: list[StreamId | None], collector: ProblemCollector
) -> StreamFilter:
    """An allow list or a deny list; empty entries are ignored."""
    allowed, denied = frozenset(filter(None, only)), frozenset(filter(None, without))
    if allowed and denied:
        collector.problem(
            (*_SUBSCRIBE, f"Unsubscribe{kind}"), f"given together with Subscribe{kind}; accepted: one of the two lists"
        )
    return StreamFilter(only=allowed or None, without=denied)


def _input(data: Data, output: StorageSpec, collector: ProblemCollector) -> StorageSpec:
    if data.input.storage is None:
        return output
    return storage_spec(data.input.storage, (*_INPUT, "StorageConfig"), collector)


def _notify(models: list[NotifyConfig]) -> tuple[NotifySpec, ...]:
    return tuple(
        NotifySpec(service=model.service, url=model.url, token=model.token or None)
        for model in models
        if model.status == "open"
    )


def _warn(data: Data, channel: MediaChannel, collector: ProblemCollector) -> None:
    """Warn of values that have no effect or an unexpected one."""
    if len(set(data.recording.file_type)) > 1:
        collector.warn(
            (*_RECORDING, "FileType"), f"only one file is written: {data.recording.file_type[0]}, the first entry"
        )
    if channel is MediaChannel.VIDEO:
        collector.warn((*_RECORDING, "MediaChannel"), "2 records the picture only: the output has no sound")
    live = [name for name, value in (("LiveConfig", data.live), ("StreamConfig", data.stream)) if value is not None]
    if live:
        collector.warn(("Data",), f"{' and '.join(live)}: not used by an offline mix")
