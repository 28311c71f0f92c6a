"""Composes and encodes chunks of a plan's picture, each into a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from owtmix.base.errors import EncoderLost
from owtmix.compositor.base import ComposedFrame
from owtmix.compositor.factory import make_canvas
from owtmix.compositor.gpu.device import DeviceError
from owtmix.plan.device import CPU
from owtmix.plan.encoders import NVENC
from owtmix.render.callbacks import Advance, Heartbeat, no_heartbeat
from owtmix.render.context import RenderContext
from owtmix.render.frames import Decoding, FrameRenderer
from owtmix.render.handing_over import hand_over
from owtmix.render.results import LONGEST_REASON, RenderResult

WAITING_FRAMES: Final = 3
"""Composed frames that wait for the encoder; the canvas has more."""

Numbered = tuple[int, ComposedFrame]


class VideoTrackMaker:
    """Composes chunks of a plan's picture and encodes each into a file of its own.

    A chunk that follows the previous one continues with its open sources, up to ``threads`` of which are decoded at the
    same time.

    Raises:
        DeviceError: the GPU does not work.
    """

    def __init__(self, context: RenderContext, threads: int, heartbeat: Heartbeat = no_heartbeat) -> None:
        self._context = context
        self._picture = context.picture
        gpu = context.open_gpu(context.device)
        decoding = Decoding(context.sources, gpu, heartbeat)
        canvas = make_canvas(self._picture, gpu, context.device.memory_bytes)
        self._renderer = FrameRenderer(self._picture, decoding, canvas, context.overlays(), threads)

    def close(self) -> None:
        """Close the sources."""
        self._renderer.close()

    def make(self, frames: range, track: Path, advance: Advance) -> RenderResult:
        """Compose ``frames`` and encode them, in parallel, into the file ``track``.

        Args:
            frames: of the plan, after those made before; the track's frames are numbered from 0.
            track: the file to write.
            advance: told how many seconds are encoded.

        Returns:
            The findings about the sources.

        Raises:
            DeviceError: the GPU fails.
            RenderError: composing or encoding failed.
        """
        result = RenderResult(device=self._context.device.name)
        with closing(self._renderer.render(frames, result)) as composed:
            hand_over(composed, lambda arriving: self._encode(arriving, frames, track, advance), most=WAITING_FRAMES)
        return result

    def _encode(self, arriving: Iterable[Numbered], frames: range, track: Path, advance: Advance) -> None:
        """Encode the composed frames of the range ``frames`` as they arrive."""
        picture = self._picture
        gpu_number = self._context.device.gpu if picture.encoding.encoder == NVENC else None
        writer = self._context.open_writer(
            track, picture.canvas, picture.clock.fps, picture.matrix, picture.encoding_of(frames), gpu_number
        )
        for number, composed in arriving:
            writer.write(composed.frame, number - frames.start)
            composed.release()
            advance(picture.clock.time(number + 1 - frames.start))
        writer.close()


class MakerCache:
    """The maker of the last chunk, kept with its open sources for the chunk that follows."""

    def __init__(self) -> None:
        self._maker: VideoTrackMaker | None = None
        self._next: tuple[object, int] | None = None

    def make(
        self,
        key: object,
        load: Callable[[], RenderContext],
        frames: range,
        track: Path,
        threads: int,
        advance: Advance,
        heartbeat: Heartbeat = no_heartbeat,
    ) -> RenderResult:
        """As ``VideoTrackMaker.make``; equal keys mean that ``load`` returns the same context.

        When the GPU fails, the whole chunk is made again on the CPU, and the result has the GPU's error.
        """
        try:
            if self._maker is None or self._next != (key, frames.start):
                self.clear()
                self._maker = VideoTrackMaker(load(), threads, heartbeat)
            self._next = None
            result = self._maker.make(frames, track, advance)
        except DeviceError as error:
            self.clear()
            with closing(VideoTrackMaker(replace(load(), device=CPU), threads, heartbeat)) as maker:
                try:
                    result = maker.make(frames, track, advance)
                except EncoderLost as lost:
                    raise EncoderLost(f"{error}, and then {lost}") from lost
            gpu_failure = (
                f"{str(error)[:LONGEST_REASON]}: frames {frames.start} to {frames.stop - 1} are composed on the CPU"
            )
            return replace(result, gpu_failure=gpu_failure)
        except BaseException:
            self.clear()
            raise
        self._next = key, frames.stop
        return result

    def clear(self) -> None:
        """Close the sources."""
        if self._maker:
            self._maker.close()
        self._maker = self._next = None


MAKER_CACHE: Final = MakerCache()
"""The cache of this process."""
