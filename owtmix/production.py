"""From a plan to the finished file: picture and sound are made beside each other, stitched, and read back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image

from owtmix.canvas.base import ComposedFrame
from owtmix.canvas.cpu import CpuCanvas
from owtmix.canvas.overlay import yuv
from owtmix.decoration import Decoration, Rgba
from owtmix.media.encode import AudioWriter, VideoWriter
from owtmix.media.stitch import stitch, verify
from owtmix.mix import mix
from owtmix.plan import SAMPLE_RATE_HZ, Picture, RenderPlan, Sound
from owtmix.progress import Progress
from owtmix.render import Footage, render

WAITING_FRAMES: Final = 3
"""Composed frames that wait for the encoder; the canvas's ring holds more."""
POLL_S: Final = 0.1
"""How soon a thread that waits for another notices that the other failed or the run was given up."""


@dataclass(frozen=True, slots=True)
class Production:
    """All it takes to make a plan's output.

    ``paths`` are where the plan's sources lie, ``images`` the watermark images by their source; ``warn`` is told, from
    any thread, what a user should know.
    """

    plan: RenderPlan
    paths: Sequence[Path]
    images: Mapping[str, Rgba]
    warn: Callable[[str], None]

    def make(self, output: Path, work: Path, progress: Progress) -> None:
        """Write the finished file to ``output``; its tracks are made in the folder ``work``.

        Raises:
            RenderError: composing, mixing or encoding failed, or the file is not as planned.
        """
        picture, sound = self.plan.picture, self.plan.sound
        picture_track, sound_track = work / "picture.mp4", work / "sound.mp4"
        progress.stage("composing", self.plan.duration_s)
        with Companion("sound") as companion:
            if sound:
                advance = progress.advance if picture is None else _ignore
                companion.start(lambda: self._make_sound(sound, sound_track, companion, advance))
            if picture:
                self._make_picture(picture, picture_track, companion, progress.advance)
        progress.stage("finishing", None)
        tracks = [track for track, made in ((picture_track, picture), (sound_track, sound)) if made]
        stitch(tracks, output, self.plan.container)
        verify(output, picture, sound)

    def still(self, number: int) -> Image.Image:
        """One frame of the output, in RGB."""
        picture = self.plan.picture
        assert picture
        with closing(self._frames(picture, range(number, number + 1))) as frames:
            composed = next(frames)[1].frame
        rgb = composed.reformat(
            format="rgb24",
            src_colorspace=Colorspace.ITU709 if picture.matrix == "bt709" else Colorspace.ITU601,
            src_color_range=ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND,
        )
        return Image.fromarray(rgb.to_ndarray())

    def _frames(self, picture: Picture, frames: range) -> Generator[tuple[int, ComposedFrame]]:
        background = yuv(picture.background, picture.matrix)
        canvas = CpuCanvas(picture.canvas, background, picture.resize_mode, picture.matrix)
        decoration = Decoration(picture, self.images, self.plan.epoch_at, self.plan.time_zone)
        return render(picture, frames, Footage(self.plan.sources, self.paths, self.warn), canvas, decoration)

    def _make_picture(
        self, picture: Picture, track: Path, sound: Companion, advance: Callable[[Fraction], None]
    ) -> None:
        """Compose here, encode beside; stop as soon as the encoder or the ``sound`` fails."""
        waiting: queue.Queue[tuple[int, ComposedFrame] | None] = queue.Queue(WAITING_FRAMES)
        with Companion("encode") as encoder:
            encoder.start(lambda: _encode(picture, track, waiting, encoder, advance))
            with closing(self._frames(picture, range(picture.frames))) as frames:
                for numbered in frames:
                    _hand_over(numbered, waiting, encoder, sound)
            _hand_over(None, waiting, encoder, sound)

    def _make_sound(self, sound: Sound, track: Path, companion: Companion, advance: Callable[[Fraction], None]) -> None:
        writer = AudioWriter(track, sound.encoding)
        written = 0
        for block in mix(sound.placements, self.paths, sound.samples, self._warn_of_sound):
            if companion.given_up:
                return
            writer.write(block)
            written += block.shape[1]
            advance(Fraction(written, SAMPLE_RATE_HZ))
        writer.close()

    def _warn_of_sound(self, source: int, problem: str) -> None:
        self.warn(f"the sound of {self.plan.sources[source].key}: {problem}")


class Companion:
    """A thread beside the caller's. Leaving the context waits for it; leaving by an exception gives it up first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._given_up = threading.Event()
        self._error: BaseException | None = None

    @property
    def given_up(self) -> bool:
        """Whether the work is of no more use; the work looks here often."""
        return self._given_up.is_set()

    def start(self, work: Callable[[], None]) -> None:
        """Begin ``work`` in the thread."""

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again by check
                self._error = error

        self._thread = threading.Thread(target=run, name=self._name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what the work raised."""
        if self._error:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._thread and not error:
                self._thread.join()
        finally:  # by an exception in the context, or by an interruption of the waiting
            self._given_up.set()
            if self._thread:
                self._thread.join()
        if not error:
            self.check()


def _hand_over(
    item: tuple[int, ComposedFrame] | None,
    waiting: queue.Queue[tuple[int, ComposedFrame] | None],
    *companions: Companion,
) -> None:
    """Put ``item`` into a queue, as soon as there is room; raises what one of the ``companions`` raised by then."""
    while True:
        for companion in companions:
            companion.check()
        try:
            waiting.put(item, timeout=POLL_S)
        except queue.Full:
            continue
        return


def _encode(
    picture: Picture,
    track: Path,
    waiting: queue.Queue[tuple[int, ComposedFrame] | None],
    companion: Companion,
    advance: Callable[[Fraction], None],
) -> None:
    writer = VideoWriter(track, picture.canvas, picture.clock.fps, picture.matrix, picture.encoding)
    while not companion.given_up:
        try:
            numbered = waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
        if numbered is None:
            writer.close()
            return
        number, composed = numbered
        writer.write(composed.frame, number)
        composed.release()
        advance(picture.clock.time(number + 1))


def _ignore(_: Fraction) -> None:
    pass
