"""The only frame loop: any range of a plan's frames, rendered alone, has the same pixels as in the whole run.

Decoding and scaling run in parallel threads, composing in the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice, repeat
from types import TracebackType
from typing import Self, TypeVar

from owtmix.base.errors import ChangedError, InputError
from owtmix.base.geometry import Rect, ResizeMode
from owtmix.base.ids import StreamId
from owtmix.base.shortage import raise_if_short
from owtmix.base.time import FrameClock, SpanCursor, TimeRange
from owtmix.compositor.base import Canvas, ComposedFrame, Layer, Scaler
from owtmix.compositor.gpu.device import DeviceError
from owtmix.compositor.overlays import Overlays
from owtmix.compositor.rounded import rounded
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.plan.media_info import DecodeStats
from owtmix.plan.model import PicturePlan
from owtmix.plan.scenes import Look
from owtmix.plan.shots import Shot
from owtmix.plan.tiles import Tile
from owtmix.render.callbacks import Heartbeat, no_heartbeat
from owtmix.render.results import LONGEST_REASON, DecodeFailure, RenderResult
from owtmix.render.video_source import VideoSource, VideoSources

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the sources of a plan are decoded: by ``gpu`` where it can, with ``heartbeat`` called meanwhile."""

    sources: VideoSources
    gpu: DecodingGpu | None = None
    heartbeat: Heartbeat = no_heartbeat


def render_frames(
    picture: PicturePlan, frames: range, decoding: Decoding, canvas: Canvas, overlays: Overlays, result: RenderResult
) -> Generator[tuple[int, ComposedFrame]]:
    """Compose the frames of a range, in order; the caller releases each. ``result`` collects what was decoded."""
    with FrameRenderer(picture, decoding, canvas, overlays, os.cpu_count() or 1) as renderer:
        yield from renderer.render(frames, result)


class FrameRenderer:
    """Composes ranges of frames, in rising order; sources stay open from one range to the next.

    Up to ``threads`` sources are decoded at the same time.
    """

    def __init__(
        self,
        picture: PicturePlan,
        decoding: Decoding,
        canvas: Canvas,
        overlays: Overlays,
        threads: int,
    ) -> None:
        self._picture = picture
        self._heartbeat = decoding.heartbeat
        self._canvas = canvas
        self._overlays = overlays
        self._scenes = SpanCursor(picture.scenes)
        self._resources = ExitStack()
        self._tiles = {
            stream: self._resources.enter_context(TileRenderer(stream, shots, decoding, canvas.scaler, picture.clock))
            for stream, shots in picture.shots.items()
        }
        self._map: Callable[..., Iterable[Sequence[Mapping[Rect, Layer]]]] = map
        if threads > 1:
            self._map = self._resources.enter_context(ThreadPoolExecutor(threads, "decode")).map

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sources."""
        self._resources.close()

    def render(self, frames: range, result: RenderResult) -> Generator[tuple[int, ComposedFrame]]:
        """Compose ``frames``, in order; the caller releases each. ``result`` collects what was decoded."""
        clock, numbers = self._picture.clock, iter(frames)
        span = TimeRange(clock.time(frames.start), clock.time(frames.stop))
        for tile in self._tiles.values():
            tile.begin(result, span)
        for (tiles, look), together in groupby(map(clock.middle, frames), self._seen_at):
            for times in _batched(together, self._canvas.ahead):
                for t, layers in zip(times, self._layers(tiles, look, times), strict=True):
                    marks = self._overlays.watermarks(look.watermarks, t, self._heartbeat)
                    yield next(numbers), self._canvas.compose([*layers, *marks])
        for tile in self._tiles.values():
            tile.end()

    def _seen_at(self, t: Fraction) -> tuple[Sequence[Tile], Look]:
        scene = self._scenes.at(t)
        return (scene.tiles_at(t), scene.look) if scene else ((), Look())

    def _layers(self, tiles: Sequence[Tile], look: Look, times: Sequence[Fraction]) -> Iterator[list[Layer]]:
        """``tiles``, which are there at all of ``times``, at each of them.

        One source is decoded for all of them before the next: switching decoders empties the processor's caches.
        """
        places: dict[StreamId, list[Rect]] = {}
        for tile in tiles:
            places.setdefault(tile.stream, []).append(tile.rect)
        renderers = self._tiles
        for stream in renderers.keys() - places.keys():
            renderers[stream].close()
        shown = map(renderers.__getitem__, places), repeat(times), places.values(), repeat(look.resize_mode)
        drawn = self._map(TileRenderer.layers, *shown)
        found = dict(zip(places, drawn, strict=True))
        on_tiles = self._overlays.on_tiles(tiles, look.corner_px)
        for number in range(len(times)):
            layers: list[Layer] = []
            for tile in tiles:
                shown_now = found[tile.stream][number].get(tile.rect)
                shown_now = shown_now or self._overlays.placeholder(tile.stream, tile.rect)
                layers += (rounded(shown_now, look.corner_px), *on_tiles[tile])
            yield layers


class TileRenderer:
    """The layers of one stream's tiles, at rising times. Used by one thread at a time."""

    def __init__(
        self,
        stream: StreamId,
        shots: Sequence[Shot],
        decoding: Decoding,
        scaler: Callable[[ResizeMode], Scaler],
        clock: FrameClock,
    ) -> None:
        self.stream = stream
        self._all_shots = shots
        self._fps = clock.fps
        self._shots = SpanCursor(shots)
        self._decoding = decoding
        self._new_scaler = scaler
        self._scaler: tuple[ResizeMode, Scaler] | None = None
        self._result = RenderResult()
        self._span: TimeRange | None = None
        self._open: tuple[int, VideoSource] | None = None
        self._failed: set[int] = set()
        self._drawn_key: Hashable = None
        self._drawn: dict[Rect, Layer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, result: RenderResult, span: TimeRange) -> None:
        """Begin a range of output time; ``result`` collects what is decoded in it."""
        self._result, self._span = result, span

    def end(self) -> None:
        """End the range; the source stays open."""
        if self._open and self._span:
            shot = self._shots.at(self._span.end)
            if shot and shot.source == self._open[0]:
                self._layers(self._span.end, (), ResizeMode.FIT)  # damage right before the end belongs to this range
        if self._open:
            self._record(*self._open)
        self._result, self._span = RenderResult(), None

    def close(self) -> None:
        """Close the source; it is opened again when it is shown again."""
        if self._open:
            self._record(*self._open)
            self._open[1].close()
            self._open = None
            self._drawn_key, self._drawn = None, {}
            self._scaler = None

    def _record(self, number: int, source: VideoSource) -> None:
        """Record the statistics of this range only, so that damage is counted once, however the picture is cut."""
        shots = [shot for shot in self._all_shots if shot.source == number]
        start = end = None
        if self._span:
            offset_s = shots[0].offset_s
            start = self._span.start - offset_s if shots[0].span.start < self._span.start else None
            end = self._span.end - offset_s if self._span.end < shots[-1].span.end else None
        stats = self._result.video_stats
        stats[number] = stats.get(number, DecodeStats()).joined(source.stats_between(start, end))

    def layers(self, times: Iterable[Fraction], places: Sequence[Rect], mode: ResizeMode) -> list[Mapping[Rect, Layer]]:
        """At each of ``times`` (output time) the picture fitted into each of ``places``; none for a placeholder."""
        return [self._layers(t, places, mode) for t in times]

    def _layers(self, t: Fraction, places: Sequence[Rect], mode: ResizeMode) -> Mapping[Rect, Layer]:
        shot = self._shots.at(t)
        self._close_finished()
        if shot is None or shot.source is None or shot.source in self._failed:
            return {}
        try:
            return self._fitted(shot.source, shot.file_time(t), places, mode)
        except DeviceError:  # not an error of the recording
            raise
        except Exception as error:  # noqa: BLE001 - any error of a recording affects only that recording
            raise_if_short(error)
            what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self._failed.add(shot.source)
            self._result.failures[shot.source] = DecodeFailure(
                t, what[:LONGEST_REASON], isinstance(error, ChangedError)
            )
            return {}

    def _fitted(self, number: int, file_t: Fraction, places: Sequence[Rect], mode: ResizeMode) -> Mapping[Rect, Layer]:
        """A source's frame at file time ``file_t``, fitted into each of ``places``; none for a muted camera."""
        frame = self._source(number).frame_at(file_t)
        if frame is None or (not self.stream.is_screen and frame.is_black(file_t)):
            return {}
        key = (number, frame.serial, mode)
        if key != self._drawn_key:
            self._drawn_key, self._drawn = key, {}
        if self._scaler is None or self._scaler[0] is not mode:
            self._scaler = mode, self._new_scaler(mode)
        _, scaler = self._scaler
        self._drawn = {rect: self._drawn.get(rect) or scaler.fit(frame, rect, key) for rect in places}
        return self._drawn

    def _source(self, number: int) -> VideoSource:
        if self._open is None or self._open[0] != number:
            self.close()
            decoding = self._decoding
            times = self._sample_times(number)
            self._open = number, decoding.sources.open_video(number, decoding.gpu, times, decoding.heartbeat)
        return self._open[1]

    def _sample_times(self, number: int) -> SampleTimes:
        """When a source is sampled: at the times of frames and, where a frame is held, at the end of its shot."""
        shots = [shot for shot in self._all_shots if shot.source == number]
        held = (shot.file_time(shot.span.end) for shot in shots if shot.until_s < shot.span.end)
        early = (shot.file_time(shot.span.start) for shot in shots if shot.span.start < shot.from_s)
        return SampleTimes(self._fps, shots[0].offset_s - Fraction(1, 2 * self._fps), (*held, *early))

    def _close_finished(self) -> None:
        """Close a source that no later shot needs."""
        if self._open and all(shot.source != self._open[0] for shot in self._shots.rest):
            self.close()


def _batched(items: Iterator[ItemT], size: int) -> Iterator[tuple[ItemT, ...]]:
    while batch := tuple(islice(items, size)):
        yield batch
