"""The tracks of the output, each into a file of its own: what a child process does with a plan."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import EncoderLost
from owtmix.compositor.base import ComposedFrame
from owtmix.compositor.factory import make_canvas, open_gpu
from owtmix.compositor.gpu.device import DeviceError
from owtmix.compositor.overlays import Overlays, Rgba
from owtmix.media.writers import VideoWriter
from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.encoders import NVENC
from owtmix.plan.model import PicturePlan, RenderPlan
from owtmix.render.frames import Footage, FrameRenderer
from owtmix.render.results import RenderResult

WAITING_FRAMES: Final = 3
"""Composed frames that wait for the encoder; the canvas's ring holds more."""
POLL_S: Final = 0.1
"""How soon a thread that waits for another notices that the other failed or gave up."""

Numbered = tuple[int, ComposedFrame]
Advance = Callable[[Fraction], None]
Warn = Callable[[str], None]
Heartbeat = Callable[[], None]
"""Called again and again, from any thread, while recordings are decoded: a chunk's first frame may take long."""


@dataclass(frozen=True, slots=True)
class Material:
    """A plan and what it is made from and with.

    ``paths`` are where its sources lie, ``images`` its watermark images.
    """

    plan: RenderPlan
    paths: Sequence[Path]
    images: Mapping[str, Rgba]
    render_device: RenderDevice = CPU


class VideoTrackMaker:
    """Composes chunks of a plan's picture and encodes each into a file of its own.

    A chunk that follows on the one before goes on with the recordings that are open. Up to ``threads`` of them are
    decoded at the same time.

    Raises:
        DeviceError: the graphics card does not work.
    """

    def __init__(self, material: Material, threads: int, pulse: Heartbeat = lambda: None) -> None:
        picture = material.plan.picture
        assert picture
        self._picture = picture
        self._render_device = material.render_device
        footage = Footage(material.plan.sources, material.paths, open_gpu(material.render_device), pulse)
        canvas = make_canvas(picture, material.render_device)
        self._projector = FrameRenderer(picture, footage, canvas, _decoration(material, picture), threads)

    def close(self) -> None:
        """Close the recordings."""
        self._projector.close()

    def make(self, frames: range, track: Path, advance: Advance) -> RenderResult:
        """Compose ``frames`` and encode them, beside each other, into ``track``; they come after those made before.

        Args:
            frames: which of the plan's frames; the track's begin at 0.
            track: the file to write.
            advance: told how many seconds are encoded.

        Returns:
            What the sources that were decoded turned out to be.

        Raises:
            DeviceError: the graphics card fails.
            RenderError: composing or encoding failed.
        """
        waiting: queue.Queue[Numbered | None] = queue.Queue(WAITING_FRAMES)
        given_up = threading.Event()
        notes = RenderResult(device=self._render_device.name)
        number = self._render_device.gpu if self._picture.encoding.encoder == NVENC else None
        with ThreadPoolExecutor(1, "encode") as pool:
            encoding = pool.submit(_encode, self._picture, frames, track, number, waiting, given_up, advance)
            try:
                with closing(self._projector.project(frames, notes)) as composed:
                    for numbered in composed:
                        _hand_over(numbered, waiting, encoding)
                _hand_over(None, waiting, encoding)
            except BaseException:
                given_up.set()
                raise
        encoding.result()
        return notes


class MakerCache:
    """What a process leaves open after a chunk, for the one that follows on it."""

    def __init__(self) -> None:
        self._maker: VideoTrackMaker | None = None
        self._follows: tuple[object, int] | None = None

    def make(
        self,
        key: object,
        load: Callable[[], Material],
        frames: range,
        track: Path,
        threads: int,
        advance: Advance,
        pulse: Heartbeat = lambda: None,
    ) -> RenderResult:
        """As ``VideoTrackMaker.make``; equal ``key`` mean that ``load`` gives the same material.

        Should the graphics card fail, all of the chunk is made again on the CPU, and the notes say why.
        """
        try:
            if self._maker is None or self._follows != (key, frames.start):
                self.clear()
                self._maker = VideoTrackMaker(load(), threads, pulse)
            self._follows = None
            notes = self._maker.make(frames, track, advance)
        except DeviceError as error:
            self.clear()
            with closing(VideoTrackMaker(replace(load(), render_device=CPU), threads, pulse)) as maker:
                try:
                    notes = maker.make(frames, track, advance)
                except EncoderLost as lost:
                    raise EncoderLost(f"{error}, and then {lost}") from lost
            gpu_failure = f"{error}: frames {frames.start} to {frames.stop - 1} are composed on the CPU"
            return replace(notes, gpu_failure=gpu_failure)
        except BaseException:
            self.clear()
            raise
        self._follows = key, frames.stop
        return notes

    def clear(self) -> None:
        """Close what is open."""
        if self._maker:
            self._maker.close()
        self._maker = self._follows = None


MAKER_CACHE: Final = MakerCache()
"""This process's."""


def _decoration(material: Material, picture: PicturePlan) -> Overlays:
    return Overlays(picture, material.images, material.plan.epoch_at, material.plan.time_zone)


def _hand_over(item: Numbered | None, waiting: queue.Queue[Numbered | None], encoding: Future[None]) -> None:
    """Put ``item`` into the queue as soon as there is room; raises what the encoder raised by then."""
    while True:
        if encoding.done():
            encoding.result()
        try:
            waiting.put(item, timeout=POLL_S)
        except queue.Full:
            continue
        return


def _encode(
    picture: PicturePlan,
    frames: range,
    track: Path,
    number: int | None,
    waiting: queue.Queue[Numbered | None],
    given_up: threading.Event,
    advance: Advance,
) -> None:
    writer = VideoWriter(track, picture.canvas, picture.clock.fps, picture.matrix, picture.encoding, number)
    while not given_up.is_set():
        try:
            numbered = waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
        if numbered is None:
            writer.close()
            return
        at, composed = numbered
        writer.write(composed.frame, at - frames.start)
        composed.release()
        advance(picture.clock.time(at + 1 - frames.start))
