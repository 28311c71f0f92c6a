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
from owtmix.plan.device import CPU, Equipment
from owtmix.plan.model import RenderPlan
from owtmix.render.results import Notes
from owtmix.workers.base import News

if TYPE_CHECKING:
    from owtmix.render.video_track import Material


@dataclass(frozen=True, slots=True)
class Studio:
    """A plan, where its sources lie, and the array files of its watermark images.

    With ``strict`` a source that fails is an error instead of a warning. The picture is made with ``equipment``.
    """

    plan: RenderPlan
    paths: Sequence[Path]
    images: Mapping[str, Path]
    strict: bool = False
    equipment: Equipment = CPU

    def material(self) -> Material:
        """The same with the images loaded."""
        import numpy as np

        from owtmix.render.video_track import Material

        images = {name: np.load(path) for name, path in self.images.items()}
        return Material(self.plan, self.paths, images, self.equipment)

    @property
    def can_encode_otherwise(self) -> bool:
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
class PictureTask:
    """Compose and encode a chunk of the picture into a track, with up to ``threads`` files decoded at a time.

    A process that has made the chunk before goes on with the files that are open.
    """

    result: ClassVar = Notes
    studio: Studio
    frames: range
    track: Path
    threads: int

    @property
    def name(self) -> str:
        assert self.studio.plan.picture
        return f"the picture at {timecode(self.studio.plan.picture.clock.time(self.frames.start))}"

    def run(self, news: News) -> Notes:
        from owtmix.media.writers import settle
        from owtmix.render.video_track import WORKBENCH

        notes = WORKBENCH.make(
            self.studio,
            self.studio.material,
            self.frames,
            self.track,
            self.threads,
            lambda t: news.advance(float(t)),
            news.wait,
        )
        settle(self.track)
        return notes


@dataclass(frozen=True, slots=True)
class SoundTask:
    """Mix and encode the sound into a track, while its sources come."""

    result: ClassVar = Notes
    studio: Studio
    track: Path
    name = "the sound"

    def run(self, news: News) -> Notes:
        from owtmix.media.writers import settle
        from owtmix.render.audio_track import make_sound

        notes = make_sound(
            self.studio.material(),
            self.track,
            lambda t: news.advance(float(t)),
            lambda message: self.studio.complain(message, news.warn),
            lambda t: news.mark(float(t)),  # for certain: what lies before it makes room for what is waited for
        )
        settle(self.track)
        return notes


@dataclass(frozen=True, slots=True)
class StillTask:
    """Draw one frame into a PNG file."""

    result: ClassVar = type(None)
    studio: Studio
    number: int
    png: Path
    name = "the preview"

    def run(self, news: News) -> None:
        from owtmix.base.errors import DestinationError
        from owtmix.render.still import draw_still

        image, notes = draw_still(self.studio.material(), self.number, news.wait)
        for source, failure in notes.failures.items():
            news.warn(f"{self.studio.plan.sources[source].key} is a placeholder: {failure.reason}")
        try:
            image.save(self.png, "PNG")
        except OSError as error:
            raise DestinationError(f"{self.png} cannot be written: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class FinishTask:
    """Stitch the chunks of the picture and the sound into the finished file, and read it back."""

    result: ClassVar = type(None)
    plan: RenderPlan
    chunks: Sequence[Path]
    sound: Path | None
    output: Path
    name = "the finished file"

    def run(self, news: News) -> None:
        from owtmix.outputs.mux import Piece, stitch
        from owtmix.outputs.verify import verify

        picture = self.plan.picture
        pieces = [
            Piece(path, frames, picture.clock.fps)
            for path, frames in zip(self.chunks, picture.chunks if picture else (), strict=True)
            if picture
        ]
        stitch(pieces, self.sound, self.output, self.plan.container)
        news.advance(0.0)
        verify(self.output, self.plan.picture, self.plan.sound)


@dataclass(frozen=True, slots=True)
class SuspectTask:
    """Decode one source alone, as a track's task did, to see whether it is what killed the child.

    ``frames`` is None for the sound, of which nothing from ``until_s`` on is decoded. The progress is the output time
    that was reached.
    """

    result: ClassVar = type(None)
    studio: Studio
    source: int
    frames: range | None
    until_s: Fraction

    @property
    def name(self) -> str:
        return self.studio.plan.sources[self.source].key

    def run(self, news: News) -> None:

        from owtmix.render.decode_alone import decode_picture, decode_sound

        material = self.studio.material()
        if self.frames is None:
            decode_sound(material, self.source, self.until_s, lambda t: news.mark(float(t)))
        else:
            decode_picture(material, self.source, self.frames, lambda t: news.mark(float(t)), news.wait)
