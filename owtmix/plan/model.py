"""The render plan: everything that decides the output, as data, before the first pixel."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Final, Literal

from owtmix.base.colour import Colour
from owtmix.base.geometry import Size
from owtmix.base.ids import StreamId
from owtmix.base.time import FrameClock, TimeRange
from owtmix.jobfile.spec import Watermark
from owtmix.plan.jumps import Jump
from owtmix.plan.media_info import AudioTrack, Matrix, VideoTrack
from owtmix.plan.scenes import Scene
from owtmix.plan.shots import Shot
from owtmix.plan.turns import Turn

SAMPLE_RATE_HZ = 48_000
SIZE_MARGIN: Final = Fraction(11, 10)
"""On top of the nominal rates: for tables, and short outputs that miss the mean rate."""


@dataclass(frozen=True, slots=True)
class Source:
    """An input file: its key in the store and the tracks that are used.

    A CPU decodes its picture with the codec's ``loop_filter``, or without (``plan/loop_filter.py``).
    """

    key: str
    stream: StreamId
    video: VideoTrack | None
    sounds: tuple[AudioTrack, ...]
    loop_filter: bool = True


@dataclass(frozen=True, slots=True)
class AudioPlacement:
    """Where a source sounds: file time plus ``offset_s`` is output time; nothing outside ``span`` (output time).

    It is ``silent`` in ranges of output time, which are sorted and do not touch.
    """

    source: int
    track: AudioTrack
    span: TimeRange
    offset_s: Fraction
    silent: tuple[TimeRange, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoEncoding:
    """An encoder, which always has one thread, and every setting that decides its bytes; none is the machine's.

    Those of ``h264_nvenc`` depend on the GPU as well.
    """

    encoder: Literal["libx264", "libvpx-vp9", "h264_nvenc"]
    bit_rate_kbps: int
    gop: int
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LaterEncoding:
    """How chunks are encoded that begin at frame ``first`` or later; ``spare`` is as in ``PicturePlan``."""

    first: int
    encoding: VideoEncoding
    spare: VideoEncoding | None = None


@dataclass(frozen=True, slots=True)
class AudioEncoding:
    """The sound's encoder; the rate is always 48 kHz."""

    encoder: Literal["aac", "libopus"]
    bit_rate_kbps: int
    channels: int


@dataclass(frozen=True, slots=True)
class FontFile:
    """A font that is not the package's: its file, the face's place in it from 0, and the file's SHA-256 in hex.

    ``chars`` are those for which it is taken: it is the first one that has them.
    """

    path: str
    number: int
    sha256: str
    chars: str = ""


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """The picture of an output, of ``frames`` frames. ``shots`` say what each stream's tile shows.

    ``chunks`` are ranges of frames, without gap or overlap, each encoded on its own. ``device`` is the kind of device
    that composes them; two of a kind make the same pixels. ``spare`` encodes all of them when the GPU's encoder fails.
    ``fonts`` are those that its texts need besides the package's own, in order of preference. ``later`` replaces
    ``encoding`` from frames on, in order. ``names`` are those of streams whose users have others than their ids.
    """

    canvas: Size
    clock: FrameClock
    frames: int
    background: Colour
    matrix: Matrix
    scenes: tuple[Scene, ...]
    shots: Mapping[StreamId, tuple[Shot, ...]]
    text_px: int
    encoding: VideoEncoding
    chunks: tuple[range, ...]
    device: Literal["cpu", "cuda"] = "cpu"
    spare: VideoEncoding | None = None
    fonts: tuple[FontFile, ...] = ()
    later: tuple[LaterEncoding, ...] = ()
    names: Mapping[StreamId, str] = field(default_factory=dict)

    def encoding_of(self, frames: range) -> VideoEncoding:
        """How a chunk is encoded."""
        number = bisect_right(self.later, frames.start, key=lambda later: later.first)
        return self.later[number - 1].encoding if number else self.encoding

    def on_spare(self) -> PicturePlan:
        """The picture with all of it encoded by what is spare."""
        assert self.spare
        later = tuple(replace(one, encoding=one.spare or one.encoding, spare=None) for one in self.later)
        return replace(self, encoding=self.spare, spare=None, later=later)

    @property
    def watermarks(self) -> tuple[Watermark, ...]:
        """Those of all scenes, each once, in order of appearance."""
        return tuple(dict.fromkeys(mark for scene in self.scenes for mark in scene.look.watermarks))


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """The sound of an output, ``samples`` long at 48 kHz."""

    samples: int
    placements: tuple[AudioPlacement, ...]
    encoding: AudioEncoding


@dataclass(frozen=True, slots=True)
class PlannedUpdate:
    """An update, the output time ``at_s`` from which it counts, and the number of the scene that begins there, if any.

    ``where`` it stands, and its ``action``; ``changes`` are the names of what it changes in the room's state.
    """

    at_s: Fraction
    where: str
    action: str
    changes: tuple[str, ...]
    scene: int | None


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """The plan of one output. ``picture`` is None when only sound is recorded, ``sound`` when only the picture is.

    ``sources`` are numbered by their positions. ``absent`` are the streams of the index that are not in the mix,
    ``left_out`` the recordings that cannot be used (key and reason). ``device`` composes the picture (``cpu``,
    ``cuda:0``), ``device_why`` says why; both are empty without a picture. ``title`` is that of the output file.
    ``confinement`` are the layers (docs/security.md) that confine the processes that read recordings.
    ``speakers`` are the turns of all who speak; None where that decides nothing.
    """

    job_id: str
    output_key: str
    container: Literal["mp4", "webm"]
    duration_s: Fraction
    sources: tuple[Source, ...]
    picture: PicturePlan | None
    sound: SoundPlan | None
    presence: Mapping[StreamId, tuple[TimeRange, ...]]
    jumps: tuple[Jump, ...]
    index_unit: str
    time_zone: str
    absent: tuple[StreamId, ...]
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    device: str = ""
    device_why: str = ""
    title: str = ""
    confinement: tuple[str, ...] = ()
    updates: tuple[PlannedUpdate, ...] = ()
    speakers: tuple[Turn, ...] | None = None

    @property
    def unfiltered(self) -> frozenset[int]:
        """The numbers of the sources that are decoded without their loop filter."""
        return frozenset(number for number, source in enumerate(self.sources) if not source.loop_filter)

    def epoch_at(self, t: Fraction) -> Fraction | None:
        """Seconds since 1970 at output time ``t``; None when the index has no epoch."""
        if not self.index_unit.startswith("epoch"):
            return None
        return t + max(j.ahead_s for j in self.jumps if j.at_s <= t)

    def without_gpu_encoder(self) -> RenderPlan:
        """The plan with its whole picture encoded by x264 instead of the GPU."""
        assert self.picture
        return replace(self, picture=self.picture.on_spare())

    def without_source(self, source: int, from_s: Fraction, *, sound: bool) -> RenderPlan:
        """The plan without a source from output time ``from_s`` on: without its sound, or else its picture."""
        if sound:
            if self.sound is None:
                return self
            placements = (_until(placement, source, from_s) for placement in self.sound.placements)
            return replace(self, sound=replace(self.sound, placements=tuple(filter(None, placements))))
        if self.picture is None:
            return self
        shots = {s: tuple(_with_placeholder(shots, source, from_s)) for s, shots in self.picture.shots.items()}
        return replace(self, picture=replace(self.picture, shots=shots))

    def offset_s(self, source: int, *, sound: bool) -> Fraction:
        """File time of a source's sound, or else its picture, plus this is output time; 0 when it is not used."""
        if sound:
            placements = self.sound.placements if self.sound else ()
            return next((placed.offset_s for placed in placements if placed.source == source), Fraction(0))
        shots = (shot for shots in (self.picture.shots.values() if self.picture else ()) for shot in shots)
        return next((shot.offset_s for shot in shots if shot.source == source), Fraction(0))

    @property
    def expected_bytes(self) -> int:
        """The approximate size of the output."""
        rates_kbps = [self.sound.encoding.bit_rate_kbps] if self.sound else []
        if self.picture:
            encodings = (self.picture.encoding, *(later.encoding for later in self.picture.later))
            rates_kbps.append(max(encoding.bit_rate_kbps for encoding in encodings))
        rate_kbps = sum(rates_kbps)
        return int(self.duration_s * rate_kbps * 1000 / 8 * SIZE_MARGIN)


def _until(placement: AudioPlacement, source: int, end_s: Fraction) -> AudioPlacement | None:
    """The placement, cut at ``end_s`` when it is of ``source``; None when nothing is left of it."""
    if placement.source != source or placement.span.end <= end_s:
        return placement
    if placement.span.start >= end_s:
        return None
    return replace(placement, span=TimeRange(placement.span.start, end_s))


def _with_placeholder(shots: Iterable[Shot], source: int, from_s: Fraction) -> Iterator[Shot]:
    """The shots with the placeholder instead of ``source`` from ``from_s`` on."""
    for shot in shots:
        if shot.source != source or shot.span.end <= from_s:
            yield shot
        elif shot.span.start >= from_s:
            yield Shot(shot.span, None)
        else:
            yield replace(shot, span=TimeRange(shot.span.start, from_s))
            yield Shot(TimeRange(from_s, shot.span.end), None)


def sample_count(duration_s: Fraction) -> int:
    """Samples that cover ``duration_s`` seconds."""
    return ceil(duration_s * SAMPLE_RATE_HZ)
