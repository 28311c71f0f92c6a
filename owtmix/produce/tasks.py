"""The tasks that touch media, as child processes do them.

Each imports what it needs when it runs: the parent never loads a media library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from owtmix.base.errors import InputError
from owtmix.base.time import timecode
from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.model import RenderPlan
from owtmix.render.results import RenderResult
from owtmix.workers.base import TaskReporter

if TYPE_CHECKING:
    from owtmix.render.video_track import Material


@dataclass(frozen=True, slots=True)
class RenderSetup:
    """A plan, where its sources lie, and the array files of its watermark images.

    With ``strict`` a source that fails is an error instead of a warning. The picture is made with ``render_device``.
    """

    plan: RenderPlan
    paths: Sequence[Path]
    images: Mapping[str, Path]
    strict: bool = False
    render_device: RenderDevice = CPU

    def material(self) -> Material:
        """The same with the images loaded."""
        import numpy as np

        from owtmix.render.video_track import Material

        images = {name: np.load(path) for name, path in self.images.items()}
        return Material(self.plan, self.paths, images, self.render_device)

    @property
    def can_reencode(self) -> bool:
        """Whether the picture can be encoded without the card's encoder."""
        return bool(self.plan.picture and self.plan.picture.spare)

    def complain(self, message: str, warn: Callable[[str], None]) -> None:
        """Tell what is wrong with a source.

        Raises:
            InputError: this is strict.
        """
        if self.strict:
            raise InputError(message)
        warn(message)


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """Compose and encode a chunk of the picture into a track, with up to ``threads`` files decoded at a time.

    A process that has made the chunk before goes on with the files that are open.
    """

    result: ClassVar = RenderResult
    setup: RenderSetup
    frames: range
    track: Path
    threads: int

    @property
    def name(self) -> str:
        assert self.setup.plan.picture
        return f"the picture at {timecode(self.setup.plan.picture.clock.time(self.frames.start))}"

    def run(self, reporter: TaskReporter) -> RenderResult:
        from owtmix.media.writers import sync_file
        from owtmix.render.video_track import MAKER_CACHE

        notes = MAKER_CACHE.make(
            self.setup,
            self.setup.material,
            self.frames,
            self.track,
            self.threads,
            lambda t: reporter.advance(float(t)),
            reporter.heartbeat,
        )
        sync_file(self.track)
        return notes


@dataclass(frozen=True, slots=True)
class AudioTask:
    """Mix and encode the sound into a track, while its sources come."""

    result: ClassVar = RenderResult
    setup: RenderSetup
    track: Path
    name = "the sound"

    def run(self, reporter: TaskReporter) -> RenderResult:
        from owtmix.media.writers import sync_file
        from owtmix.render.audio_track import make_sound

        notes = make_sound(
            self.setup.material(),
            self.track,
            lambda t: reporter.advance(float(t)),
            lambda message: self.setup.complain(message, reporter.warn),
            lambda t: reporter.checkpoint(
                float(t)
            ),  # for certain: what lies before it makes room for what is waited for
        )
        sync_file(self.track)
        return notes


@dataclass(frozen=True, slots=True)
class StillTask:
    """Draw one frame into a PNG file."""

    result: ClassVar = type(None)
    setup: RenderSetup
    number: int
    png: Path
    name = "the preview"

    def run(self, reporter: TaskReporter) -> None:
        from owtmix.base.errors import DestinationError
        from owtmix.render.still import draw_still

        image, notes = draw_still(self.setup.material(), self.number, reporter.heartbeat)
        for source, failure in notes.failures.items():
            reporter.warn(f"{self.setup.plan.sources[source].key} is a placeholder: {failure.reason}")
        try:
            image.save(self.png, "PNG")
        except OSError as error:
            raise DestinationError(f"{self.png} cannot be written: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class MuxTask:
    """Stitch the chunks of the picture and the sound into the finished file, and read it back."""

    result: ClassVar = type(None)
    plan: RenderPlan
    chunks: Sequence[Path]
    sound: Path | None
    output: Path
    name = "the finished file"

    def run(self, reporter: TaskReporter) -> None:
        from owtmix.outputs.mux import ChunkTrack, mux
        from owtmix.outputs.verify import verify

        picture = self.plan.picture
        pieces = [
            ChunkTrack(path, frames, picture.clock.fps)
            for path, frames in zip(self.chunks, picture.chunks if picture else (), strict=True)
            if picture
        ]
        mux(pieces, self.sound, self.output, self.plan.container)
        reporter.advance(0.0)
        verify(self.output, self.plan.picture, self.plan.sound)


@dataclass(frozen=True, slots=True)
class SuspectTask:
    """Decode one source alone, as a track's task did, to see whether it is what killed the child.

    ``frames`` is None for the sound, of which nothing from ``until_s`` on is decoded. The progress is the output time
    that was reached.
    """

    result: ClassVar = type(None)
    setup: RenderSetup
    source: int
    frames: range | None
    until_s: Fraction

    @property
    def name(self) -> str:
        return self.setup.plan.sources[self.source].key

    def run(self, reporter: TaskReporter) -> None:

        from owtmix.render.decode_alone import decode_picture, decode_sound

        material = self.setup.material()
        if self.frames is None:
            decode_sound(material, self.source, self.until_s, lambda t: reporter.checkpoint(float(t)))
        else:
            decode_picture(
                material, self.source, self.frames, lambda t: reporter.checkpoint(float(t)), reporter.heartbeat
            )
