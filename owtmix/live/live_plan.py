"""The plan of a chunk, of what is known of the room by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, TypeVar

from owtmix.base.geometry import Size
from owtmix.base.time import TimeRange
from owtmix.jobfile.index import Index
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import JobSpec
from owtmix.live.room_log import LiveFile
from owtmix.live.track_log import GAP_US, US
from owtmix.plan.build import make_plan
from owtmix.plan.course import course_of
from owtmix.plan.media_info import AudioRun, AudioTrack, Clip, Matrix, VideoTrack
from owtmix.plan.model import SAMPLE_RATE_HZ, RenderPlan, VideoEncoding
from owtmix.plan.scenes import Scene
from owtmix.plan.shots import Shot
from owtmix.plan.voice import Voice
from owtmix.recorder.finish_options import FinishOptions
from owtmix.recorder.index_file import room_index
from owtmix.recorder.picture_times import PICTURE_HZ, ticks
from owtmix.recorder.room_folder import RecordedFile

FAR_US: Final = 3600 * US
"""What is still there stays for so long, as far as is known."""
SOUND_BEFORE_S: Final = Fraction(3)
"""Of a chunk's sound: where a process begins anew it mixes some of what came before again."""
_GOP_S: Final = Fraction(10)

Listen = Callable[[Sequence[LiveFile]], Mapping[str, Voice]]
"""Gives the voices in files, by their names."""

SpanT = TypeVar("SpanT", Scene, Shot)


@dataclass(frozen=True, slots=True)
class Head:
    """What a key frame tells of a picture: its display size, and its colour matrix."""

    size: Size
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Part:
    """What is one file of a mix, from chunk ``first`` on: the ``shape`` of its picture, its colours, and its headers.

    ``recorded`` tells what is recorded by itself: by numbers, None where no file is made, but only pushed. ``matrix``
    and ``level``, the H.264 level of its first chunk, are None where there is no picture.
    """

    first: int
    shape: tuple[tuple[str, str], ...] = ()
    recorded: int | None = 1
    matrix: Matrix | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a live mix cannot change once it is made: when it begins, in milliseconds since 1970, and its parts."""

    begun_ms: int
    parts: tuple[Part, ...] = ()


def live_settings(settings: PlanSettings) -> PlanSettings:
    """The rules that need no future: a last picture is held until it is a gap, and an empty room stays."""
    timeline = settings.timeline
    changed = {"keep_empty_gaps": True, "placeholder_delay_s": timeline.gap_s}
    return replace(settings, timeline=timeline.model_copy(update=changed))


def plan_room(
    spec: JobSpec,
    options: FinishOptions,
    files: Sequence[LiveFile],
    heads: Mapping[str, Head],
    settings: PlanSettings,
    lasts_s: Fraction,
    begun_ms: int,
    listen: Listen,
) -> tuple[RenderPlan, list[LiveFile]] | None:
    """The plan of a room of which ``lasts_s`` seconds are to be composed at least, and the files of its sources.

    ``heads`` are those of pictures, by the names of their files; the mix begins at ``begun_ms``, since 1970. ``listen``
    is asked who speaks where that decides anything. None where nobody is subscribed by now.

    Raises:
        MixError: the job, or an update, is wrong.
    """
    edge_us = begun_ms * 1000 + int(lasts_s * US)
    end_us = begun_ms * 1000 + int(settings.limits.max_duration_s * US)
    files = [file.until_us(end_us) for file in files if file.start_us < end_us]
    far_us = max(edge_us + US, min(edge_us + FAR_US, end_us))
    by_name = {file.plan.name: file for file in files}
    recorded = [_recorded(file, far_us, begun_ms) for file in files]
    index = read_index(
        room_index(options.job_id, options.room_id, recorded, options.user_names, ""), time_unit="auto", strict=False
    )
    course = course_of(spec, index)
    streams, _ = course.streams()
    clips: list[Clip] = []
    used: list[LiveFile] = []
    for recording in index.files:
        file = by_name[recording.key]
        head = heads.get(recording.key)
        video = _video(file, head, far_us) if head else None
        sound = _sound(file, far_us)
        if recording.stream in streams and (video or sound):
            clips.append(Clip(recording, len(clips), video, (sound,) if sound else (), Fraction(0)))
            used.append(file)
    if not clips:
        return None
    index = Index(index.job_id, index.room_id, index.unit, index.files, (), scale=index.scale)
    voices = None
    if spec.video and any(state.mixer.listens for state in course.states):
        heard = listen([file for file in used if file.sounds and not file.is_screen])
        voices = {n: heard[file.plan.name] for n, file in enumerate(used) if file.plan.name in heard}
    begins_s = Fraction(begun_ms, 1000)
    rules = live_settings(settings)
    return make_plan(spec, index, clips, rules, voices=voices, lasts_s=lasts_s, begins_s=begins_s), used


def of_chunk(plan: RenderPlan, span: TimeRange, part: Part) -> RenderPlan:
    """What of a plan is seen and heard in ``span``, as it must be in ``part``."""
    picture, sound = plan.picture, plan.sound
    if picture:
        shots = {stream: kept for stream, shots in picture.shots.items() if (kept := _within(shots, span))}
        picture = replace(
            picture,
            frames=picture.clock.first_from(span.end),
            matrix=part.matrix or picture.matrix,
            scenes=_within(picture.scenes, span),
            shots=shots,
            encoding=_at_level(picture.encoding, part.level),
            later=tuple(replace(one, encoding=_at_level(one.encoding, part.level)) for one in picture.later),
            chunks=(range(picture.clock.first_from(span.start), picture.clock.first_from(span.end)),),
        )
    if sound:
        before = TimeRange(span.start - SOUND_BEFORE_S, span.end)
        heard = tuple(placed for placed in sound.placements if _overlaps(placed.span, before))
        sound = replace(sound, placements=heard)
    return replace(plan, picture=picture, sound=sound, presence={}, updates=(), warnings=(), absent=(), speakers=None)


def level_of(encoding: VideoEncoding) -> str | None:
    """The level of an encoding's headers, which all chunks of a file share."""
    return dict(encoding.options).get("level")


def _at_level(encoding: VideoEncoding, level: str | None) -> VideoEncoding:
    options = {**dict(encoding.options), **({"level": level} if level else {})}
    return replace(encoding, options=tuple(options.items()))


def _recorded(file: LiveFile, far_us: int, begun_ms: int) -> RecordedFile:
    """The entry of a file in an index of now; ``far_us`` is its end if it goes on. Nothing begins before the mix."""
    end_us = far_us if file.end_us is None else file.end_us
    start_ms = max(begun_ms, _ms(file.start_us))
    return RecordedFile(file.stream, file.plan.name, start_ms, max(start_ms + 1, _ms(end_us)), 0)


def _video(file: LiveFile, head: Head, far_us: int) -> VideoTrack | None:
    """The picture of a file, which goes on if that is not over; None where none is seen by now."""
    track = file.picture
    if track is None or track.captured.first_us is None:
        return None
    hz, captured = PICTURE_HZ[file.plan.container], track.captured
    assert captured.first_us is not None

    def file_time(at_us: int) -> Fraction:
        return Fraction(ticks(at_us - file.start_us, hz), hz)

    first_s, last_s, before_s = map(file_time, (captured.first_us, captured.last_us, captured.before_us))
    gaps = [TimeRange(file_time(start), file_time(end)) for start, end in captured.gaps]
    if file.end_us is None:
        end_s = file_time(far_us)
        coming_us = far_us if track.coming_us is None else track.coming_us
        if coming_us - captured.last_us > GAP_US:
            gaps.append(TimeRange(last_s, file_time(coming_us)))
        span, last_s = TimeRange(max(Fraction(0), first_s), end_s), end_s
    else:
        lasts_s = min(last_s - before_s if last_s > before_s else Fraction(hz // 30, hz), Fraction(1))
        span = TimeRange(max(Fraction(0), first_s), last_s + lasts_s)
    return VideoTrack(0, track.head.codec, head.size, head.matrix, span, last_s, tuple(gaps), _GOP_S)


def _sound(file: LiveFile, far_us: int) -> AudioTrack | None:
    """The sound of a file, which goes on if that is not over; None where none is heard by now."""
    firsts = [track.captured.first_us for track in file.sounds]
    begun = [first for first in firsts if first is not None]
    if not begun:
        return None
    start_us = max(file.start_us, min(begun))
    end_us = far_us
    if file.end_us is not None:
        end_us = min(file.end_us, max(track.captured.until_us for track in file.sounds))
    start_s, end_s = (Fraction(at - file.start_us, US) for at in (start_us, max(end_us, start_us + 1000)))
    samples = max(1, int((end_s - start_s) * SAMPLE_RATE_HZ))
    run = AudioRun(((0, start_s), (samples, end_s)))
    return AudioTrack(1, file.sounds[0].head.codec, SAMPLE_RATE_HZ, 2, (run,))


def _within(items: Sequence[SpanT], span: TimeRange) -> tuple[SpanT, ...]:
    return tuple(item for item in items if _overlaps(item.span, span))


def _overlaps(one: TimeRange, other: TimeRange) -> bool:
    return one.start < other.end and other.start < one.end


def _ms(time_us: int) -> int:
    return (time_us + 500) // 1000
