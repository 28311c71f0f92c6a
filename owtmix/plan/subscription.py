"""Subscription: which streams are in the mix, and whether the streams that the job names exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from typing import Protocol

from owtmix.base.errors import CODE_NO_STREAM, Problem, SpecError
from owtmix.base.ids import StreamId
from owtmix.base.wording import some
from owtmix.jobfile.index import Index
from owtmix.jobfile.spec import JobSpec, MediaChannel, SubscriptionSpec


class Subscribing(Protocol):
    """What subscribes to streams: a job, or the recorder of a room."""

    @property
    def channel(self) -> MediaChannel: ...

    @property
    def subscription(self) -> SubscriptionSpec: ...


def joined(index: Index) -> tuple[StreamId, ...]:
    """All streams of an index in order of joining."""
    first: dict[StreamId, Fraction] = {}
    for file in index.files:
        first[file.stream] = min(first.get(file.stream, file.start_s), file.start_s)
    return tuple(sorted(first, key=lambda stream: first[stream]))


def admits(spec: Subscribing, stream: StreamId) -> bool:
    """Whether the job includes sound or picture of ``stream``."""
    return subscribes_audio(spec, stream) or subscribes_video(spec, stream)


def mixed_streams(spec: Subscribing, joining: Iterable[StreamId]) -> frozenset[StreamId]:
    """The first ``MaxSubscriptions`` admitted streams of those that join in this order."""
    return frozenset(islice((stream for stream in joining if admits(spec, stream)), spec.subscription.max_streams))


def check_streams(
    spec: JobSpec, known: frozenset[StreamId], where: str = "", before: JobSpec | None = None
) -> Iterator[str]:
    """A warning for each stream that the job names and that is not ``known``: none is in the index.

    ``where`` begins the paths of problems. What the job named ``before`` an update is not told again; lists that stay
    are not looked at.

    Raises:
        SpecError: A stream of ``PositionConfig`` is not in the index (error code 6).
    """
    _check_positions(spec, known, where)
    told = _named(before) if before else {}
    for path, streams in _named(spec).items():
        earlier = told.get(path, frozenset())
        for stream in sorted(streams - earlier - known) if streams is not earlier else ():
            yield f"Data.{path}: {stream} has no recording in the index"
    unsubscribed = {*_unsubscribed_positions(before)} if before else set()
    yield from (warning for warning in _unsubscribed_positions(spec) if warning not in unsubscribed)


def subscribes_audio(spec: Subscribing, stream: StreamId) -> bool:
    """Whether the job includes the sound of ``stream``."""
    return spec.channel is not MediaChannel.VIDEO and spec.subscription.audio.admits(stream)


def subscribes_video(spec: Subscribing, stream: StreamId) -> bool:
    """Whether the job includes the picture of ``stream``."""
    return spec.channel is not MediaChannel.AUDIO and spec.subscription.video.admits(stream)


def _unsubscribed_positions(spec: JobSpec) -> Iterable[str]:
    if spec.subscription.manual and spec.channel is not MediaChannel.AUDIO:
        for i, position in enumerate(spec.mixer.positions):
            if not subscribes_video(spec, position.stream):
                yield f"Data.MixerConfig.PositionConfig[{i}]: the video of {position.stream} is not subscribed"


def _check_positions(spec: JobSpec, known: frozenset[StreamId], where: str) -> None:
    unknown = [position.stream not in known for position in spec.mixer.positions]
    if not (spec.subscription.manual and any(unknown)):
        return
    there = some(sorted(known))
    raise SpecError(
        *(
            Problem(
                f"{where}Data.MixerConfig.PositionConfig[{i}].RtcStreamId",
                f"{position.stream} has no recording in the index; it has {there}",
                CODE_NO_STREAM,
            )
            for i, position in enumerate(spec.mixer.positions)
            if unknown[i]
        )
    )


def _named(spec: JobSpec) -> dict[str, frozenset[StreamId]]:
    """The streams that a job names, by the paths where it does."""
    audio, video, largest = spec.subscription.audio, spec.subscription.video, spec.mixer.max_resolution_stream
    return {
        "MixerConfig.MaxResolutionStream": frozenset({largest} if largest else ()),
        "SubscribeConfig.SubscribeAudio": audio.only or frozenset(),
        "SubscribeConfig.UnsubscribeAudio": audio.without,
        "SubscribeConfig.SubscribeVideo": video.only or frozenset(),
        "SubscribeConfig.UnsubscribeVideo": video.without,
    }
