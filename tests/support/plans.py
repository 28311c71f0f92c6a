"""Plans without media: probed clips, short names for times, and Hypothesis strategies for rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st

from owtmix.base.colour import Colour
from owtmix.base.geometry import ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.jobfile.index import Index, Recording, TimeUnit
from owtmix.jobfile.spec import (
    AudioSpec,
    JobSpec,
    LayoutStyle,
    MediaChannel,
    MixerSpec,
    StorageSpec,
    StreamFilter,
    SubscriptionSpec,
    VideoSpec,
)
from owtmix.plan.media_info import AudioRun, AudioTrack, Clip, Matrix, VideoTrack
from owtmix.plan.timeline import TimelineRules

ANNA, BEN, CARL = StreamId("anna", 1), StreamId("ben", 1), StreamId("carl", 1)
SCREEN: Final = StreamId("anna", 2)

FRAME_S: Final = Fraction(1, 25)
GOP_S: Final = Fraction(2)

PATIENT: Final = settings(deadline=None, max_examples=50)
"""Settings of property tests: no deadline, since the time of an example depends on the machine."""

Seconds = int | str | Fraction
"""An exact time: an integer, or text such as ``1.5`` or ``1/3``."""


def span(start: Seconds, end: Seconds) -> TimeRange:
    return TimeRange(Fraction(start), Fraction(end))


def picture(frames: Sequence[Seconds], *, end: Seconds | None = None, matrix: Matrix = "bt709") -> VideoTrack:
    """A video track with a frame at each of ``frames`` (file time); the last one lasts 1/25 s, or until ``end``."""
    times = [Fraction(time) for time in frames]
    return VideoTrack(
        index=0,
        codec="h264",
        size=Size(640, 360),
        matrix=matrix,
        span=TimeRange(times[0], times[-1] + FRAME_S if end is None else Fraction(end)),
        last_s=times[-1],
        gaps=tuple(TimeRange(a, b) for a, b in pairwise(times) if b - a > 1),
        gop_s=GOP_S,
    )


def sound(start: Seconds, end: Seconds) -> AudioTrack:
    """An audio track from ``start`` to ``end`` (file time)."""
    first, last = Fraction(start), Fraction(end)
    return AudioTrack(1, "opus", 48_000, 2, (AudioRun(((0, first), (round((last - first) * 48_000), last))),))


def steady(length: Seconds, *, matrix: Matrix = "bt709") -> VideoTrack:
    """A video track without gaps, from 0 to ``length``."""
    end = Fraction(length)
    last_s = end - min(end / 2, FRAME_S)
    return VideoTrack(0, "h264", Size(640, 360), matrix, TimeRange(Fraction(0), end), last_s, (), GOP_S)


def take(
    stream: StreamId, start: Seconds, *tracks: VideoTrack | AudioTrack, end: Seconds | None = None, name: str = ""
) -> Clip:
    """A file of ``stream`` that starts at index time ``start``; ``end`` is the index's ``EndTime``."""
    recording = Recording(stream, name or f"{stream}-{start}", Fraction(start), None if end is None else Fraction(end))
    video = next((track for track in tracks if isinstance(track, VideoTrack)), None)
    sounds = tuple(track for track in tracks if isinstance(track, AudioTrack))
    return Clip(recording, 0, video, sounds, min(track.span.start for track in tracks))


def both(stream: StreamId, start: Seconds, end: Seconds) -> Clip:
    """A file with picture and sound without gaps, from index time ``start`` to ``end``."""
    length = Fraction(end) - Fraction(start)
    return take(stream, start, steady(length), sound(0, length))


def seen(stream: StreamId, start: Seconds, end: Seconds) -> Clip:
    """A file with only a picture, without gaps."""
    return take(stream, start, steady(Fraction(end) - Fraction(start)), name=f"{stream}-{start}-picture")


def heard(stream: StreamId, start: Seconds, end: Seconds) -> Clip:
    """A file with only sound."""
    return take(stream, start, sound(0, Fraction(end) - Fraction(start)), name=f"{stream}-{start}-sound")


def room(*clips: Clip) -> list[Clip]:
    """``clips`` in the order of the index, numbered."""
    return [replace(clip, source=number) for number, clip in enumerate(clips)]


def index_of(clips: Sequence[Clip], unit: TimeUnit = "milliseconds") -> Index:
    return Index("room-1", "", unit, tuple(clip.recording for clip in clips), ())


RULES: Final = TimelineRules(
    key_stream=None, idle_s=Fraction(60), absence_s=Fraction(1), keep_empty_gaps=False, longest_s=Fraction(86_400)
)

MIXER: Final = MixerSpec(
    max_resolution_stream=None,
    background=Colour(0, 0, 0),
    resize_mode=ResizeMode.FIT,
    layout=LayoutStyle.TILE,
    templates=(),
    positions=(),
    watermarks=(),
)
EVERYBODY: Final = StreamFilter(only=None, without=frozenset())
SUBSCRIPTION: Final = SubscriptionSpec(manual=False, max_streams=32, audio=EVERYBODY, video=EVERYBODY)
_STORE: Final = StorageSpec("local", ".", None, None, None, None)
JOB: Final = JobSpec(
    job_id="room-1",
    request_id="",
    room_id="",
    app_id="",
    idle_time_s=Fraction(60),
    key_stream=None,
    video=VideoSpec(Size(1280, 720), fps=15, bit_rate_kbps=1000, profile="high"),
    audio=AudioSpec("aac", channels=2, bit_rate_kbps=128),
    mixer=MIXER,
    subscription=SUBSCRIPTION,
    channel=MediaChannel.BOTH,
    container="mp4",
    extensions=("mp4",),
    output=_STORE,
    output_key="room-1.mp4",
    input=_STORE,
    index_key=None,
    notify=(),
    warnings=(),
)


def only(*streams: StreamId) -> StreamFilter:
    return StreamFilter(only=frozenset(streams), without=frozenset())


def without(*streams: StreamId) -> StreamFilter:
    return StreamFilter(only=None, without=frozenset(streams))


def milliseconds(least: int, most: int) -> st.SearchStrategy[Fraction]:
    return st.integers(least, most).map(lambda ms: Fraction(ms, 1000))


canvases: Final = st.builds(Size, st.integers(8, 1100).map(lambda n: 2 * n), st.integers(8, 600).map(lambda n: 2 * n))
"""Sizes that a job may ask for, up to 2200x1200."""


@st.composite
def takes(draw: st.DrawFn) -> Clip:
    """A file of one of four streams in the first minute, with sound, a picture that may pause, or both."""
    stream = draw(st.sampled_from([ANNA, BEN, CARL, SCREEN]))
    tracks: list[VideoTrack | AudioTrack] = []
    kind = draw(st.sampled_from(["both", "picture", "sound"]))
    if kind != "sound":
        tracks.append(picture(sorted(draw(st.sets(milliseconds(0, 15_000), min_size=1, max_size=6)))))
    if kind != "picture":
        first = draw(milliseconds(0, 5_000))
        tracks.append(sound(first, first + draw(milliseconds(1, 15_000))))
    start = draw(milliseconds(0, 60_000))
    end = draw(st.none() | milliseconds(1, 15_000).map(lambda length: start + length))
    return take(stream, start, *tracks, end=end)


rooms: Final = st.lists(takes(), min_size=1, max_size=6).map(lambda clips: room(*clips))

rules: Final = st.builds(
    TimelineRules,
    key_stream=st.none() | st.sampled_from([ANNA, BEN]),
    idle_s=milliseconds(0, 8_000),
    absence_s=milliseconds(0, 3_000),
    keep_empty_gaps=st.booleans(),
    longest_s=st.just(Fraction(86_400)),
)
