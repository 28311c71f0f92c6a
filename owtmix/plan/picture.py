"""The picture of a plan: its scenes, its shots, its chunks, and how they are encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import TypeVar

from owtmix.base.geometry import Size
from owtmix.base.ids import StreamId
from owtmix.base.time import FrameClock, TimeRange
from owtmix.jobfile.index import Index
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import JobSpec, VideoSpec
from owtmix.plan import encoders
from owtmix.plan.chunks import cut_chunks
from owtmix.plan.course import StateSpan, where_not
from owtmix.plan.media_info import Matrix
from owtmix.plan.model import LaterEncoding, PicturePlan, VideoEncoding
from owtmix.plan.scenes import Scene, build_scenes
from owtmix.plan.shots import PlaceholderRules, Shot, build_shots, hide
from owtmix.plan.speakers import Speech
from owtmix.plan.timeline import PlacedClip, Timeline

SpanT = TypeVar("SpanT", Scene, Shot)


def plan_picture(
    spec: JobSpec,
    index: Index,
    rooms: tuple[Timeline, Timeline],
    states: Sequence[StateSpan],
    settings: PlanSettings,
    speech: Speech,
) -> PicturePlan:
    """Plan the picture of a job that has one.

    Args:
        spec: the job.
        index: of its recordings.
        rooms: the room in output time, without regard to who is subscribed when, and with it.
        states: the room from one update to the next.
        settings: of the service.
        speech: who speaks, where that decides anything.
    """
    room, timeline = rooms
    video = spec.video
    assert video
    clock = FrameClock(video.fps)
    pictures = {
        stream: timeline.pictures[stream]
        for stream in timeline.presence
        if any(at.shows(stream, has_picture=bool(timeline.pictures[stream])) for at in states)
    }
    timeline_settings = settings.timeline
    rules = PlaceholderRules(
        timeline_settings.absence_s, timeline_settings.gap_s, timeline_settings.placeholder_delay_s
    )
    names = {stream: _name(spec, index, stream) for stream in pictures}
    scenes = build_scenes(timeline, states, video.size, names, speech)
    frames = clock.first_from(timeline.end)
    scenes = _until_last_frame(scenes, timeline.end, clock.time(frames))
    least = max(1, ceil(settings.video.chunk_s / encoders.GOP_S))
    rates = _rate_changes(video, states)
    videos = (replace(video, bit_rate_kbps=at.state.bit_rate_kbps) for at in rates)
    encoder, *others = _encoders(spec, [video, *videos], settings)
    firsts = (clock.first_showing(at.span.start) for at in rates)
    return PicturePlan(
        canvas=video.size,
        clock=clock,
        frames=frames,
        background=spec.mixer.background,
        matrix=_majority(pictures),
        scenes=scenes,
        shots={
            stream: _until_last_frame(
                hide(
                    build_shots(timeline.presence[stream], placed, rules, screen=stream.is_screen),
                    _hidden(timeline, states, stream),
                ),
                timeline.end,
                clock.time(frames),
            )
            for stream, placed in pictures.items()
        },
        text_px=max(8, round(video.size.height * settings.text.height)),
        encoding=encoder,
        chunks=cut_chunks(frames, encoder.gop, least, _changes(clock, room, states, names, video.size)),
        names={stream: name for stream, name in names.items() if name != stream.user},
        later=tuple(LaterEncoding(first, other) for first, other in zip(firsts, others, strict=True)),
    )


def _name(spec: JobSpec, index: Index, stream: StreamId) -> str:
    """What a user is called: by the job, else by the index, else by the id."""
    named = (file.user_name for file in index.files if file.stream.user == stream.user and file.user_name)
    return spec.names.get(stream.user) or next(named, stream.user)


def _changes(
    clock: FrameClock, room: Timeline, states: Sequence[StateSpan], names: Mapping[StreamId, str], canvas: Size
) -> list[int]:
    """The frames with which somebody comes or goes: neither an update nor a page shifts a joint of chunks."""
    begins = states[0]
    mixer = replace(begins.state.mixer, page_size=0, transition_s=Fraction(0))
    always = StateSpan(TimeRange(Fraction(0), room.end), begins.spec, replace(begins.state, mixer=mixer))
    return [clock.first_showing(scene.span.start) for scene in build_scenes(room, [always], canvas, names)]


def _encoders(spec: JobSpec, videos: Sequence[VideoSpec], settings: PlanSettings) -> list[VideoEncoding]:
    """How chunks are encoded, for each of ``videos``, which differ in their bit rates. They share their headers."""
    if spec.container == "webm":
        effort = encoders.FASTEST_VP9 if is_draft(settings) else settings.video.vp9_cpu_used
        return [encoders.vp9(video, effort) for video in videos]
    most_kbps = max(video.bit_rate_kbps for video in videos)
    return [encoders.h264(video, settings.video.x264_preset, most_kbps) for video in videos]


def _rate_changes(video: VideoSpec, states: Sequence[StateSpan]) -> list[StateSpan]:
    """The states that begin with another bit rate than the one before; the first one has that of the job."""
    found, rate_kbps = [], video.bit_rate_kbps
    for at in states:
        if at.state.bit_rate_kbps != rate_kbps:
            found.append(at)
            rate_kbps = at.state.bit_rate_kbps
    return found


def _hidden(timeline: Timeline, states: Sequence[StateSpan], stream: StreamId) -> tuple[TimeRange, ...]:
    """When a stream's picture is not shown although it is there."""
    if not any(stream in at.state.hidden for at in states):
        return ()
    return where_not(states, TimeRange(Fraction(0), timeline.end), lambda at: stream not in at.state.hidden)


def _until_last_frame(items: Sequence[SpanT], end: Fraction, last_frame_ends: Fraction) -> tuple[SpanT, ...]:
    """``items``, of which one that lasts to the ``end`` of the room lasts to the end of the output's last frame."""
    return tuple(
        replace(item, span=TimeRange(item.span.start, last_frame_ends)) if item.span.end == end else item
        for item in items
    )


def _majority(pictures: Mapping[StreamId, Sequence[PlacedClip]]) -> Matrix:
    """The matrix that most streams have, BT.709 on a tie (docs/semantics.md, "Picture")."""
    votes = Counter(placed[0].clip.video.matrix for placed in pictures.values() if placed and placed[0].clip.video)
    return "bt601" if votes["bt601"] > votes["bt709"] else "bt709"


def is_draft(settings: PlanSettings) -> bool:
    """Whether the picture is to be made as fast as can be."""
    return settings.video.x264_preset == encoders.DRAFT
