"""A job, its index and the probed clips become a render plan: pure, and the only place where they meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil
from types import MappingProxyType
from typing import TypeVar

from owtmix.base.errors import Problem, SpecError
from owtmix.base.geometry import Size
from owtmix.base.ids import StreamId
from owtmix.base.time import FrameClock, TimeRange, timecode
from owtmix.base.wording import some
from owtmix.jobfile.index import Index
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import ClockWatermark, JobSpec, VideoSpec
from owtmix.plan import encoders
from owtmix.plan.chunks import cut_chunks
from owtmix.plan.course import Course, StateSpan, course_of, where_not
from owtmix.plan.device import MAX_GPU_ITEMS, RenderDevice
from owtmix.plan.loop_filter import unfiltered
from owtmix.plan.media_info import Clip, Matrix
from owtmix.plan.memory import check_memory
from owtmix.plan.model import (
    LaterEncoding,
    PicturePlan,
    PlannedUpdate,
    RenderPlan,
    SoundPlan,
    Source,
    VideoEncoding,
    sample_count,
)
from owtmix.plan.placements import sound_placements
from owtmix.plan.scenes import Scene, build_scenes
from owtmix.plan.shots import PlaceholderRules, Shot, build_shots, hide
from owtmix.plan.timeline import PlacedClip, Timeline, TimelineRules, build_timeline

SpanT = TypeVar("SpanT", Scene, Shot)


def make_plan(
    spec: JobSpec,
    index: Index,
    clips: Sequence[Clip],
    settings: PlanSettings,
    left_out: Iterable[tuple[str, str]] = (),
    images: Mapping[str, Size] = MappingProxyType({}),
) -> RenderPlan:
    """Plan the output of ``clips``, the readable files of the subscribed streams.

    ``clips[i].source`` is ``i``; ``left_out`` are the keys of the others, and why. ``images`` are the sizes of the
    watermark images by their source.

    Raises:
        SpecError: the output would be longer, or composing it would take more memory, than ``conf/owt.toml`` allows.
    """
    timeline_settings = settings.timeline
    rules = TimelineRules(
        spec.key_stream,
        spec.idle_time_s,
        timeline_settings.absence_s,
        timeline_settings.keep_empty_gaps,
        settings.limits.max_duration_s,
    )
    timeline = build_timeline(clips, rules)
    course = course_of(spec, index, timeline)
    mixed = course.visits()
    if mixed is not None:
        timeline = build_timeline(clips, rules, mixed)
    states = course.spans(timeline)
    if timeline.end > settings.limits.max_duration_s:
        limit = timecode(settings.limits.max_duration_s)
        raise SpecError(Problem("", f"the output would last {timecode(timeline.end)}, more than the limit of {limit}"))
    picture = _picture(spec, index, timeline, states, settings) if spec.video else None
    rough = unfiltered(picture, clips) if picture and _is_draft(settings) else frozenset()
    if picture:
        check_memory(picture, images, settings.limits.worker_memory_mib)
    duration = picture.clock.time(picture.frames) if picture else timeline.end
    return RenderPlan(
        job_id=spec.job_id,
        title=spec.room_id or spec.job_id,
        output_key=spec.output_key,
        container=spec.container,
        duration_s=duration,
        sources=tuple(
            Source(c.recording.key, c.recording.stream, c.video, c.sounds, c.source not in rough) for c in clips
        ),
        picture=picture,
        sound=SoundPlan(sample_count(duration), sound_placements(timeline, states), encoders.sound(spec.audio))
        if spec.audio
        else None,
        presence=timeline.presence,
        jumps=timeline.jumps,
        index_unit=index.unit,
        time_zone=settings.text.time_zone,
        absent=tuple(sorted({file.stream for file in index.files} - timeline.presence.keys())),
        left_out=tuple(left_out),
        updates=tuple(_planned_updates(course, timeline, picture)),
        warnings=(
            *map(str, spec.warnings),
            *index.warnings,
            *timeline.warnings,
            *course.warnings,
            *course.late(timeline),
            *_clock_warnings(course),
            *_picture_warnings(spec, timeline, states),
        ),
    )


def _planned_updates(course: Course, timeline: Timeline, picture: PicturePlan | None) -> Iterator[PlannedUpdate]:
    begin = {scene.span.start: number for number, scene in enumerate(picture.scenes)} if picture else {}
    for change in course.changes:
        at_s = max(Fraction(0), timeline.output_time(change.at_s))
        if at_s < timeline.end:
            yield PlannedUpdate(at_s, change.where, change.action, begin.get(at_s))


def within_gpu_limits(plan: RenderPlan, device: RenderDevice) -> RenderDevice:
    """``device``, or the CPU for a picture that shows more at once than a GPU composes."""
    if plan.picture is None or device.gpu is None:
        return device
    items = max(
        (
            len(scene.tiles) + sum(bool(tile.label) for tile in scene.tiles) + len(scene.look.watermarks)
            for scene in plan.picture.scenes
        ),
        default=0,
    )
    if items <= MAX_GPU_ITEMS:
        return device
    return RenderDevice(f"a GPU composes {MAX_GPU_ITEMS} tiles and watermarks at once, and there are {items}")


def with_device(plan: RenderPlan, spec: JobSpec, device: RenderDevice) -> RenderPlan:
    """The plan for composing on ``device``, and for encoding with its encoder if it has one."""
    if plan.picture is None:
        return plan
    picture = plan.picture
    plan = replace(plan, device=device.name, device_why=device.why)
    if device.gpu is None:
        return plan
    picture = replace(picture, device="cuda")
    # A GPU decodes with the loop filter, so the CPU does as well where it takes over.
    plan = replace(plan, sources=tuple(replace(source, loop_filter=True) for source in plan.sources))
    if device.has_encoder and picture.encoding.encoder == "libx264":
        assert spec.video
        video, gpu = spec.video, device.gpu
        later = tuple(
            replace(one, encoding=encoders.nvenc(replace(video, bit_rate_kbps=rate), gpu), spare=one.encoding)
            for one in picture.later
            if (rate := one.encoding.bit_rate_kbps)
        )
        picture = replace(picture, encoding=encoders.nvenc(video, gpu), spare=picture.encoding, later=later)
    return replace(plan, picture=picture)


def _is_draft(settings: PlanSettings) -> bool:
    return settings.video.x264_preset == encoders.DRAFT


def _picture(
    spec: JobSpec, index: Index, timeline: Timeline, states: Sequence[StateSpan], settings: PlanSettings
) -> PicturePlan:
    video = spec.video
    assert video
    clock = FrameClock(video.fps)
    pictures = {s: placed for s, placed in timeline.pictures.items() if placed and any(at.shows(s) for at in states)}
    timeline_settings = settings.timeline
    rules = PlaceholderRules(
        timeline_settings.absence_s, timeline_settings.gap_s, timeline_settings.placeholder_delay_s
    )
    names = {stream: _name(spec, index, stream) for stream in pictures}
    scenes = build_scenes(timeline.segments, states, video.size, names)
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
        chunks=cut_chunks(frames, encoder.gop, least, _changes(clock, timeline, states, names, video.size)),
        names={stream: name for stream, name in names.items() if name != stream.user},
        later=tuple(LaterEncoding(first, other) for first, other in zip(firsts, others, strict=True)),
    )


def _name(spec: JobSpec, index: Index, stream: StreamId) -> str:
    """What a user is called: by the job, else by the index, else by the id."""
    named = (file.user_name for file in index.files if file.stream.user == stream.user and file.user_name)
    return spec.names.get(stream.user) or next(named, stream.user)


def _changes(
    clock: FrameClock, timeline: Timeline, states: Sequence[StateSpan], names: Mapping[StreamId, str], canvas: Size
) -> list[int]:
    """The frames that begin a scene of the room without updates: an update shifts no joint of chunks."""
    begins = [replace(states[0], span=TimeRange(Fraction(0), timeline.end))]
    return [clock.first_showing(scene.span.start) for scene in build_scenes(timeline.segments, begins, canvas, names)]


def _encoders(spec: JobSpec, videos: Sequence[VideoSpec], settings: PlanSettings) -> list[VideoEncoding]:
    """How chunks are encoded, for each of ``videos``, which differ in their bit rates. They share their headers."""
    if spec.container == "webm":
        effort = encoders.FASTEST_VP9 if _is_draft(settings) else settings.video.vp9_cpu_used
        return [encoders.vp9(video, effort) for video in videos]
    highest = max(videos, key=lambda video: video.bit_rate_kbps)
    level = encoders.level_of(highest) if len(videos) > 1 else ""
    return [encoders.h264(video, settings.video.x264_preset, level) for video in videos]


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
    votes = Counter(placed[0].clip.video.matrix for placed in pictures.values() if placed[0].clip.video)
    return "bt601" if votes["bt601"] > votes["bt709"] else "bt709"


def _picture_warnings(spec: JobSpec, timeline: Timeline, states: Sequence[StateSpan]) -> Iterable[str]:
    """Who is heard over a picture without them."""
    if spec.video is None or any(at.state.subscription.manual for at in states):
        return
    seen = {s for s, placed in timeline.pictures.items() if placed and any(at.shows(s) for at in states)}
    if not seen:
        yield "nobody has a picture: the output shows the background only; MediaChannel 1 records the sound alone"
        return
    heard = [
        s for s, placed in timeline.sounds.items() if placed and s not in seen and any(at.hears(s) for at in states)
    ]
    if heard:
        yield f"{some(heard)}: heard without a picture, so there is no tile"


def _clock_warnings(course: Course) -> Iterable[str]:
    marks = (mark for state in course.states for mark in state.mixer.watermarks)
    if not course.index.has_epoch and any(isinstance(mark, ClockWatermark) for mark in marks):
        yield "the index does not say when the room was: the time watermark shows the time since the start"
