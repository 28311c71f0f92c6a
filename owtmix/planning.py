"""A job, its index and the probed clips become a render plan: pure, and the only place where they meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil

from owtmix import chunks, encoding, scene, shots
from owtmix.base.errors import CODE_NO_STREAM, Problem, SpecError
from owtmix.base.ids import StreamId
from owtmix.base.time import FrameClock, timecode
from owtmix.clip import Clip, Matrix
from owtmix.equipment import MOST_ITEMS, Equipment
from owtmix.jobfile.index import Index
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import ClockWatermark, JobSpec, MediaChannel, VideoSpec
from owtmix.plan import AudioPlacement, Picture, RenderPlan, Sound, Source, sample_count
from owtmix.timeline import Placed, Rules, Timeline, build


def subscribed(spec: JobSpec, index: Index) -> tuple[frozenset[StreamId], tuple[StreamId, ...]]:
    """Who is in the mix: the first ``MaxSubscriptions`` admitted streams, in order of joining; and who is beyond."""
    first: dict[StreamId, Fraction] = {}
    for file in index.files:
        if hears(spec, file.stream) or sees(spec, file.stream):
            first[file.stream] = min(first.get(file.stream, file.start_s), file.start_s)
    order = sorted(first, key=lambda stream: first[stream])
    limit = spec.subscription.max_streams
    return frozenset(order[:limit]), tuple(order[limit:])


def check_streams(spec: JobSpec, index: Index) -> list[str]:
    """A warning for each stream that the job names and nobody has.

    Raises:
        SpecError: one of ``PositionConfig`` is among them (error 6).
    """
    known = {file.stream for file in index.files}
    _check_positions(spec, known)
    return [*_unknown_streams(spec, known), *_unseen_positions(spec)]


def hears(spec: JobSpec, stream: StreamId) -> bool:
    """Whether the stream's sound is recorded."""
    return spec.channel is not MediaChannel.VIDEO and spec.subscription.audio.admits(stream)


def sees(spec: JobSpec, stream: StreamId) -> bool:
    """Whether the stream's picture is recorded."""
    return spec.channel is not MediaChannel.AUDIO and spec.subscription.video.admits(stream)


def make_plan(
    spec: JobSpec,
    index: Index,
    clips: Sequence[Clip],
    settings: Settings,
    left_out: Iterable[tuple[str, str]] = (),
) -> RenderPlan:
    """Plan the output of ``clips``, the readable files of the subscribed streams.

    ``clips[i].source`` is ``i``; ``left_out`` are the keys of the others, and why.

    Raises:
        SpecError: the output would be longer than the limit of ``conf/owt.toml``.
    """
    rules = Rules(spec.key_stream, spec.idle_time_s, settings.absence_s, settings.keep_empty_gaps)
    timeline = build(clips, rules)
    if timeline.end > settings.max_duration_s:
        limit = timecode(settings.max_duration_s)
        raise SpecError(Problem("", f"the output would last {timecode(timeline.end)}, more than the limit of {limit}"))
    picture = _picture(spec, spec.video, timeline, settings) if spec.video else None
    duration = picture.clock.time(picture.frames) if picture else timeline.end
    return RenderPlan(
        job_id=spec.job_id,
        output_key=spec.output_key,
        container=spec.container,
        duration_s=duration,
        sources=tuple(Source(c.recording.key, c.recording.stream, c.video, c.audio) for c in clips),
        picture=picture,
        sound=Sound(sample_count(duration), _placements(spec, timeline), encoding.sound(spec.audio))
        if spec.audio
        else None,
        presence=timeline.presence,
        jumps=timeline.jumps,
        index_unit=index.unit,
        time_zone=settings.time_zone,
        absent=tuple(sorted({file.stream for file in index.files} - timeline.presence.keys())),
        left_out=tuple(left_out),
        warnings=(*map(str, spec.warnings), *index.warnings, *timeline.warnings, *_clock_warnings(spec, index)),
    )


def sufficient(plan: RenderPlan, equipment: Equipment) -> Equipment:
    """``equipment``, or the CPU alone for a picture that shows more at once than a card draws."""
    if plan.picture is None or equipment.card is None:
        return equipment
    tiles = max((len(scene.tiles) for scene in plan.picture.scenes), default=0)
    items = tiles + len(plan.picture.watermarks)
    if items <= MOST_ITEMS:
        return equipment
    return Equipment(f"a card draws {MOST_ITEMS} tiles and watermarks at once, and there are {items}")


def equip(plan: RenderPlan, spec: JobSpec, equipment: Equipment) -> RenderPlan:
    """The plan for what there is to make it with."""
    if plan.picture is None:
        return plan
    picture = plan.picture
    plan = replace(plan, device=equipment.device, device_why=equipment.why)
    if equipment.card is None:
        return plan
    picture = replace(picture, device="cuda")
    if equipment.encodes and picture.encoding.encoder == "libx264":
        assert spec.video
        picture = replace(picture, encoding=encoding.nvenc(spec.video, equipment.card), spare=picture.encoding)
    return replace(plan, picture=picture)


def _picture(spec: JobSpec, video: VideoSpec, timeline: Timeline, settings: Settings) -> Picture:
    clock = FrameClock(video.fps)
    pictures = {s: placed for s, placed in timeline.pictures.items() if placed and sees(spec, s)}
    patience = shots.Patience(settings.absence_s, settings.gap_s, settings.placeholder_delay_s)
    scenes = scene.build(
        timeline.segments, spec.mixer, video.size, manual=spec.subscription.manual, visible=pictures.keys()
    )
    frames = clock.first_from(timeline.end)
    least = max(1, ceil(settings.chunk_s / encoding.GOP_S))
    changes = [clock.first_from(part.span.start) for part in scenes]
    encoder = (
        encoding.h264(video, settings.x264_preset)
        if spec.container == "mp4"
        else encoding.vp9(video, settings.vp9_cpu_used)
    )
    return Picture(
        canvas=video.size,
        clock=clock,
        frames=frames,
        background=spec.mixer.background,
        matrix=_majority(pictures),
        resize_mode=spec.mixer.resize_mode,
        scenes=scenes,
        shots={
            stream: shots.build(timeline.presence[stream], placed, patience, screen=stream.is_screen)
            for stream, placed in pictures.items()
        },
        watermarks=spec.mixer.watermarks,
        text_px=max(8, round(video.size.height * settings.text_height)),
        encoding=encoder,
        chunks=chunks.cut(frames, encoder.gop, least, changes),
    )


def _majority(pictures: Mapping[StreamId, Sequence[Placed]]) -> Matrix:
    """The matrix that most streams have, BT.709 on a tie (semantics.md, "Picture")."""
    votes = Counter(placed[0].clip.video.matrix for placed in pictures.values() if placed[0].clip.video)
    return "bt601" if votes["bt601"] > votes["bt709"] else "bt709"


def _placements(spec: JobSpec, timeline: Timeline) -> tuple[AudioPlacement, ...]:
    return tuple(
        AudioPlacement(placed.clip.source, placed.clip.audio, placed.span, placed.offset_s)
        for stream, sounds in timeline.sounds.items()
        if hears(spec, stream)
        for placed in sounds
        if placed.clip.audio
    )


def _unseen_positions(spec: JobSpec) -> Iterable[str]:
    if spec.subscription.manual and spec.channel is not MediaChannel.AUDIO:
        for i, position in enumerate(spec.mixer.positions):
            if not sees(spec, position.stream):
                yield f"Data.MixerConfig.PositionConfig[{i}]: the video of {position.stream} is not subscribed"


def _clock_warnings(spec: JobSpec, index: Index) -> Iterable[str]:
    if not index.has_epoch and any(isinstance(mark, ClockWatermark) for mark in spec.mixer.watermarks):
        yield "the index does not say when the room was: the time watermark shows the time since the start"


def _check_positions(spec: JobSpec, known: set[StreamId]) -> None:
    if not spec.subscription.manual:
        return
    problems = [
        Problem(
            f"Data.MixerConfig.PositionConfig[{i}].RtcStreamId",
            f"{position.stream} has no recording in the index; it has {_names(known)}",
            CODE_NO_STREAM,
        )
        for i, position in enumerate(spec.mixer.positions)
        if position.stream not in known
    ]
    if problems:
        raise SpecError(*problems)


def _unknown_streams(spec: JobSpec, known: set[StreamId]) -> Iterable[str]:
    audio, video = spec.subscription.audio, spec.subscription.video
    named = {
        "MixerConfig.MaxResolutionStream": {spec.mixer.max_resolution_stream} - {None},
        "SubscribeConfig.SubscribeAudio": audio.only or (),
        "SubscribeConfig.UnsubscribeAudio": audio.without,
        "SubscribeConfig.SubscribeVideo": video.only or (),
        "SubscribeConfig.UnsubscribeVideo": video.without,
    }
    for path, streams in named.items():
        for stream in sorted(s for s in streams if s and s not in known):
            yield f"Data.{path}: {stream} has no recording in the index"


def _names(streams: Iterable[StreamId]) -> str:
    return ", ".join(sorted(map(str, streams))) or "none"
