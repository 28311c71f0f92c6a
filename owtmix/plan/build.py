"""A job, its index and the probed clips become a render plan: pure, and the only place where they meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import TypeVar

from owtmix.base.errors import Problem, SpecError
from owtmix.base.geometry import Size
from owtmix.base.time import timecode
from owtmix.base.wording import some
from owtmix.jobfile.index import Index
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import ClockWatermark, JobSpec
from owtmix.plan import encoders
from owtmix.plan.course import Course, StateSpan, course_of
from owtmix.plan.device import MAX_GPU_ITEMS, RenderDevice
from owtmix.plan.loop_filter import unfiltered
from owtmix.plan.media_info import Clip
from owtmix.plan.memory import check_memory
from owtmix.plan.model import (
    PicturePlan,
    PlannedUpdate,
    RenderPlan,
    SoundPlan,
    Source,
    sample_count,
)
from owtmix.plan.picture import is_draft, plan_picture
from owtmix.plan.placements import sound_placements
from owtmix.plan.scenes import Scene
from owtmix.plan.shots import Shot
from owtmix.plan.speakers import NOBODY, speech_of
from owtmix.plan.tiles import BORDER_STRIPS
from owtmix.plan.timeline import Timeline, TimelineRules, build_timeline
from owtmix.plan.turns import SpeakerRules
from owtmix.plan.voice import Voice

SpanT = TypeVar("SpanT", Scene, Shot)


def make_plan(
    spec: JobSpec,
    index: Index,
    clips: Sequence[Clip],
    settings: PlanSettings,
    left_out: Iterable[tuple[str, str]] = (),
    images: Mapping[str, Size] = MappingProxyType({}),
    voices: Mapping[int, Voice] | None = None,
    lasts_s: Fraction = Fraction(0),
    begins_s: Fraction | None = None,
) -> RenderPlan:
    """Plan the output of ``clips``, the readable files of the subscribed streams.

    ``clips[i].source`` is ``i``; ``left_out`` are the keys of the others, and why. ``images`` are the sizes of the
    watermark images by their source, ``voices`` are those in clips by the number of their source, where who speaks
    decides anything. The output lasts ``lasts_s`` at least, and begins at ``begins_s`` of index time where that is
    given.

    Raises:
        InputError: nobody is in the room while they are subscribed.
        SpecError: the output would be longer, or composing it would take more memory, than ``conf/owt.toml`` allows.
    """
    timeline_settings = settings.timeline
    rules = TimelineRules(
        spec.key_stream,
        spec.idle_time_s,
        timeline_settings.absence_s,
        timeline_settings.keep_empty_gaps,
        settings.limits.max_duration_s,
        lasts_s,
        begins_s,
    )
    timeline = room = build_timeline(clips, rules)
    course = course_of(spec, index, timeline)
    mixed = course.visits()
    if mixed is not None:
        timeline = build_timeline(clips, rules, mixed)
    states = course.spans(timeline)
    if timeline.end > settings.limits.max_duration_s:
        limit = timecode(settings.limits.max_duration_s)
        raise SpecError(Problem("", f"the output would last {timecode(timeline.end)}, more than the limit of {limit}"))
    speech = NOBODY if voices is None else speech_of(timeline, voices, states, _speaker_rules(settings))
    picture = plan_picture(spec, index, (room, timeline), states, settings, speech) if spec.video else None
    rough = unfiltered(picture, clips) if picture and is_draft(settings) else frozenset()
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
        speakers=None if voices is None else speech.turns,
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
    for before, change in zip(course.states, course.changes, strict=False):
        at_s = max(Fraction(0), timeline.output_time(change.at_s))
        if at_s < timeline.end:
            yield PlannedUpdate(at_s, change.where, change.action, change.state.changes(before), begin.get(at_s))


def within_gpu_limits(plan: RenderPlan, device: RenderDevice) -> RenderDevice:
    """``device``, or the CPU for a picture that shows more at once than a GPU composes."""
    if plan.picture is None or device.gpu is None:
        return device
    items = max(
        (
            sum(1 + bool(tile.label) + BORDER_STRIPS * bool(tile.border_px) for tile in scene.tiles)
            + len(scene.look.watermarks)
            for scene in plan.picture.scenes
        ),
        default=0,
    )
    if items <= MAX_GPU_ITEMS:
        return device
    what = "tiles, names, borders and watermarks"
    return RenderDevice(f"a GPU composes {MAX_GPU_ITEMS} {what} at once, and there are {items}")


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


def _speaker_rules(settings: PlanSettings) -> SpeakerRules:
    found = settings.speakers
    return SpeakerRules(found.turn_s, found.pause_s, found.lead_s, found.hold_s, found.crosstalk_db)


def _picture_warnings(spec: JobSpec, timeline: Timeline, states: Sequence[StateSpan]) -> Iterable[str]:
    """Who is heard over a picture without them."""
    if spec.video is None or any(at.state.subscription.manual for at in states):
        return
    seen = {
        s for s, placed in timeline.pictures.items() if placed and any(at.shows(s, has_picture=True) for at in states)
    }
    if not seen:
        shown = "placeholders" if any(at.state.mixer.audio_only for at in states) else "the background"
        yield f"nobody has a picture: the output shows {shown} only; MediaChannel 1 records the sound alone"
        return
    heard = [
        s
        for s, placed in timeline.sounds.items()
        if placed and s not in seen and any(at.hears(s) and not at.shows(s, has_picture=False) for at in states)
    ]
    if heard:
        yield f"{some(heard)}: heard without a picture, so there is no tile"


def _clock_warnings(course: Course) -> Iterable[str]:
    marks = (mark for state in course.states for mark in state.mixer.watermarks)
    if not course.index.has_epoch and any(isinstance(mark, ClockWatermark) for mark in marks):
        yield "the index does not say when the room was: the time watermark shows the time since the start"
