"""The tasks that make a plan's output, for workers.

Each imports what it needs when it runs: the parent never loads a media library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from owtmix.base.errors import ChangedError, DestinationError, EncoderLost, InputError
from owtmix.base.time import timecode
from owtmix.inputs.image_files import DecodedImage, MappedImages
from owtmix.inputs.source_file import SourceFile
from owtmix.inputs.tasks import SLOWEST_SOUND
from owtmix.outputs.base import FinishedTracks, Output
from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.model import RenderPlan
from owtmix.produce.plausible_tracks import MORE_BYTES, check_chunk, check_sound, most_chunk_bytes, most_sound_bytes
from owtmix.render.callbacks import Warn
from owtmix.render.results import RenderResult
from owtmix.workers.base import Replies, TaskReporter
from owtmix.workers.made_files import check_made

if TYPE_CHECKING:
    from owtmix.render.audio_source import AudioSources
    from owtmix.render.context import RenderContext
    from owtmix.render.video_source import VideoSources

    class Sources(VideoSources, AudioSources, Protocol):
        """Opens the pictures and the sound of a plan's sources."""


MOST_RESULT_BYTES: Final = 1 << 20
"""Of the findings of a track as JSON: some hundred bytes for each source."""
SLOWEST_PICTURE: Final = 20
"""Seconds for a second of the picture, on the slowest machine."""
SLOWEST_PIXELS_PER_S: Final = 3_000_000
"""Of a large canvas, which takes longer: 1080p with 30 frames a second takes about as long as above."""
MOST_PNG_BYTES: Final = 1 << 30
"""The largest canvas has 256 MiB."""


@dataclass(frozen=True, slots=True)
class RenderSetup:
    """A plan, the ``files`` of its sources by their numbers, and its watermark ``images`` by their source.

    With ``strict`` a source that fails is an error, not a warning. ``device`` composes the picture.
    """

    plan: RenderPlan
    files: Sequence[SourceFile]
    images: Mapping[str, DecodedImage]
    strict: bool = False
    device: RenderDevice = CPU

    def open_sources(self) -> Sources:
        """Open the sources. Called in a worker."""
        from owtmix.produce.file_sources import FileSources

        return FileSources(self.files, self.plan.unfiltered)

    def load(self) -> RenderContext:
        """The context for rendering the picture. Called in a worker."""
        from owtmix.render.context import RenderContext

        return RenderContext(self.plan, self.open_sources(), MappedImages(self.images), self.device)

    @property
    def can_reencode(self) -> bool:
        """Whether the picture can be encoded without the GPU's encoder, which encodes it now."""
        return bool(self.plan.picture and self.plan.picture.spare)

    def report_problem(self, message: str, warn: Warn) -> None:
        """Warn of a problem with a source.

        Raises:
            InputError: the setup is strict.
        """
        if self.strict:
            raise InputError(message)
        warn(message)


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """Compose and encode a chunk of the picture into a track; up to ``threads`` sources are decoded at a time.

    A worker that made the previous chunk continues with its open sources.
    """

    result: ClassVar = RenderResult
    replies: ClassVar = Replies.of(EncoderLost, DestinationError, result_bytes=MOST_RESULT_BYTES)
    setup: RenderSetup
    frames: range
    track: Path
    threads: int

    @property
    def name(self) -> str:
        assert self.setup.plan.picture
        return f"the picture at {timecode(self.setup.plan.picture.clock.time(self.frames.start))}"

    @property
    def length_s(self) -> Fraction:
        """Of the chunk, in seconds."""
        assert self.setup.plan.picture
        return self.setup.plan.picture.clock.time(len(self.frames))

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``."""
        return _picture_longest_s(self.setup.plan, self.frames)

    @property
    def most_bytes(self) -> int:
        """Of the track."""
        assert self.setup.plan.picture
        return most_chunk_bytes(self.setup.plan.picture, self.frames)

    def check(self, value: RenderResult) -> None:
        """As ``Bounded.check``."""
        check_chunk(self.setup.plan, self.frames, self.setup.device, self.track, value)

    def run(self, reporter: TaskReporter) -> RenderResult:
        from owtmix.media.writers import sync_file
        from owtmix.render.video_track import MAKER_CACHE

        result = MAKER_CACHE.make(
            self.setup,
            self.setup.load,
            self.frames,
            self.track,
            self.threads,
            lambda t: reporter.advance(float(t)),
            reporter.heartbeat,
        )
        sync_file(self.track)
        return result


@dataclass(frozen=True, slots=True)
class AudioTask:
    """Mix and encode the sound into a track; its sources may still be downloading. It has no ``frames``."""

    result: ClassVar = RenderResult
    replies: ClassVar = Replies.of(InputError, DestinationError, result_bytes=MOST_RESULT_BYTES)
    frames: ClassVar[None] = None
    setup: RenderSetup
    track: Path
    name = "the sound"

    @property
    def length_s(self) -> Fraction:
        """Of the sound, in seconds."""
        return self.setup.plan.duration_s

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``."""
        sound = self.setup.plan.sound
        heard_s = sum(placed.span.duration for placed in sound.placements) if sound else Fraction(0)
        return SLOWEST_SOUND * float(self.length_s + heard_s)

    @property
    def most_bytes(self) -> int:
        """Of the track."""
        return most_sound_bytes(self.setup.plan)

    def check(self, value: RenderResult) -> None:
        """As ``Bounded.check``."""
        check_sound(self.setup.plan, self.track, value)

    def run(self, reporter: TaskReporter) -> RenderResult:
        from owtmix.media.writers import sync_file
        from owtmix.render.audio_track import make_audio_track

        result = make_audio_track(
            self.setup.plan,
            self.setup.open_sources(),
            self.track,
            lambda t: reporter.advance(float(t)),
            lambda message: self.setup.report_problem(message, reporter.warn),
            lambda t: reporter.checkpoint(float(t)),  # never dropped: it frees the space of sources before it
        )
        sync_file(self.track)
        return result


@dataclass(frozen=True, slots=True)
class StillTask:
    """Compose one frame into the PNG file ``png``, which is in the work folder."""

    result: ClassVar = type(None)
    replies: ClassVar = Replies.of(DestinationError)
    setup: RenderSetup
    number: int
    png: Path
    name = "the preview"

    def check(self, value: None) -> None:  # noqa: ARG002 - only the file tells something
        """As ``Bounded.check``."""
        check_made(self.png, MOST_PNG_BYTES)

    def run(self, reporter: TaskReporter) -> None:
        from owtmix.base.errors import DestinationError
        from owtmix.render.still import draw_still

        image, result = draw_still(self.setup.load(), self.number, reporter.heartbeat)
        for source, failure in result.failures.items():
            reporter.warn(f"{self.setup.plan.sources[source].key} is a placeholder: {failure.reason}")
        try:
            image.save(self.png, "PNG")
        except OSError as error:
            raise DestinationError(f"{self.png} cannot be written: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class MuxTask:
    """Write an output from finished tracks, and read it back."""

    result: ClassVar = type(None)
    replies: ClassVar = Replies.of(DestinationError)
    plan: RenderPlan
    tracks: FinishedTracks
    output: Output

    @property
    def name(self) -> str:
        return self.output.name

    def check(self, value: None) -> None:  # noqa: ARG002 - as above
        """As ``Bounded.check``."""
        check_made(self.output.path, 2 * self.tracks.size_bytes + MORE_BYTES)

    def run(self, reporter: TaskReporter) -> None:
        self.output.write(self.plan, self.tracks)
        reporter.advance(0.0)
        self.output.verify(self.plan)


@dataclass(frozen=True, slots=True)
class SuspectTask:
    """Decode one source alone, as a track's task did, to find out whether it crashes the worker.

    ``frames`` is None for the sound, which is decoded before ``until_s``. The progress is the output time reached.
    """

    result: ClassVar = type(None)
    replies: ClassVar = Replies.of(InputError, ChangedError, DestinationError)
    setup: RenderSetup
    source: int
    frames: range | None
    until_s: Fraction

    @property
    def name(self) -> str:
        return self.setup.plan.sources[self.source].key

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``: what the track's task may take until there."""
        if self.frames is None:
            return 2 * SLOWEST_SOUND * float(self.until_s)
        return _picture_longest_s(self.setup.plan, self.frames)

    def run(self, reporter: TaskReporter) -> None:
        from owtmix.render.decode_alone import decode_audio, decode_video

        plan, sources = self.setup.plan, self.setup.open_sources()
        if self.frames is None:
            decode_audio(plan, sources, self.source, self.until_s, lambda t: reporter.checkpoint(float(t)))
        else:
            advance = lambda t: reporter.checkpoint(float(t))  # noqa: E731 - as above
            decode_video(plan, sources, self.source, self.frames, advance, reporter.heartbeat)


def _picture_longest_s(plan: RenderPlan, frames: range) -> float:
    """As ``Long.longest_s``, for ``frames``."""
    assert plan.picture
    canvas = plan.picture.canvas
    pixels = len(frames) * canvas.width * canvas.height
    return max(SLOWEST_PICTURE * float(plan.picture.clock.time(len(frames))), pixels / SLOWEST_PIXELS_PER_S)


TrackTask = ChunkTask | AudioTask
"""A task that makes a track."""
