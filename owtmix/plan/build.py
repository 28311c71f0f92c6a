"""A job, its index and the probed clips become a render plan: pure, and the only place where they meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from owtmix.plan.device import MAX_GPU_ITEMS, RenderDevice
from owtmix.plan.loop_filter import unfiltered
from owtmix.plan.media_info import Clip, Matrix
from owtmix.plan.memory import check_memory
from owtmix.plan.model import AudioPlacement, PicturePlan, RenderPlan, SoundPlan, Source, sample_count
from owtmix.plan.scenes import Scene, build_scenes
from owtmix.plan.shots import PlaceholderRules, Shot, build_shots
from owtmix.plan.subscription import subscribes_audio, subscribes_video
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
    if timeline.end > settings.limits.max_duration_s:
        limit = timecode(settings.limits.max_duration_s)
        raise SpecError(Problem("", f"the output would last {timecode(timeline.end)}, more than the limit of {limit}"))
    picture = _picture(spec, spec.video, timeline, settings) if spec.video else None
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
        sound=SoundPlan(sample_count(duration), _placements(spec, timeline), encoders.sound(spec.audio))
        if spec.audio
        else None,
        presence=timeline.presence,
        jumps=timeline.jumps,
        index_unit=index.unit,
        time_zone=settings.text.time_zone,
        absent=tuple(sorted({file.stream for file in index.files} - timeline.presence.keys())),
        left_out=tuple(left_out),
        warnings=(
            *map(str, spec.warnings),
            *index.warnings,
            *timeline.warnings,
            *_clock_warnings(spec, index),
            *_picture_warnings(spec, timeline),
        ),
    )


def within_gpu_limits(plan: RenderPlan, device: RenderDevice) -> RenderDevice:
    """``device``, or the CPU for a picture that shows more at once than a GPU composes."""
    if plan.picture is None or device.gpu is None:
        return device
    tiles = max((len(scene.tiles) for scene in plan.picture.scenes), default=0)
    items = tiles + len(plan.picture.watermarks)
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
        picture = replace(picture, encoding=encoders.nvenc(spec.video, device.gpu), spare=picture.encoding)
    return replace(plan, picture=picture)


def _is_draft(settings: PlanSettings) -> bool:
    return settings.video.x264_preset == encoders.DRAFT


def _picture(spec: JobSpec, video: VideoSpec, timeline: Timeline, settings: PlanSettings) -> PicturePlan:
    clock = FrameClock(video.fps)
    pictures = {s: placed for s, placed in timeline.pictures.items() if placed and subscribes_video(spec, s)}
    timeline_settings = settings.timeline
    rules = PlaceholderRules(
        timeline_settings.absence_s, timeline_settings.gap_s, timeline_settings.placeholder_delay_s
    )
    scenes = build_scenes(
        timeline.segments, spec.mixer, video.size, manual=spec.subscription.manual, visible=pictures.keys()
    )
    frames = clock.first_from(timeline.end)
    scenes = _until_last_frame(scenes, timeline.end, clock.time(frames))
    least = max(1, ceil(settings.video.chunk_s / encoders.GOP_S))
    changes = [clock.first_showing(part.span.start) for part in scenes]
    encoder = (
        encoders.h264(video, settings.video.x264_preset)
        if spec.container == "mp4"
        else encoders.vp9(video, encoders.FASTEST_VP9 if _is_draft(settings) else settings.video.vp9_cpu_used)
    )
    return PicturePlan(
        canvas=video.size,
        clock=clock,
        frames=frames,
        background=spec.mixer.background,
        matrix=_majority(pictures),
        resize_mode=spec.mixer.resize_mode,
        scenes=scenes,
        shots={
            stream: _until_last_frame(
                build_shots(timeline.presence[stream], placed, rules, screen=stream.is_screen),
                timeline.end,
                clock.time(frames),
            )
            for stream, placed in pictures.items()
        },
        watermarks=spec.mixer.watermarks,
        text_px=max(8, round(video.size.height * settings.text.height)),
        encoding=encoder,
        chunks=cut_chunks(frames, encoder.gop, least, changes),
    )


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


def _placements(spec: JobSpec, timeline: Timeline) -> tuple[AudioPlacement, ...]:
    return tuple(
        AudioPlacement(placed.clip.source, track, placed.span, placed.offset_s)
        for stream, sounds in timeline.sounds.items()
        if subscribes_audio(spec, stream)
        for placed in sounds
        for track in placed.clip.sounds
    )


def _picture_warnings(spec: JobSpec, timeline: Timeline) -> Iterable[str]:
    """Who is heard over a picture without them."""
    if spec.video is None or spec.subscription.manual:
        return
    seen = {stream for stream, placed in timeline.pictures.items() if placed and subscribes_video(spec, stream)}
    if not seen:
        yield "nobody has a picture: the output shows the background only; MediaChannel 1 records the sound alone"
        return
    heard = [s for s, placed in timeline.sounds.items() if placed and subscribes_audio(spec, s) and s not in seen]
    if heard:
        yield f"{some(heard)}: heard without a picture, so there is no tile"


def _clock_warnings(spec: JobSpec, index: Index) -> Iterable[str]:
    if not index.has_epoch and any(isinstance(mark, ClockWatermark) for mark in spec.mixer.watermarks):
        yield "the index does not say when the room was: the time watermark shows the time since the start"
