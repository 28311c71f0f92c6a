"""The only frame loop: any range of a plan's frames, drawn alone, is the same as in the whole run.

Decoding and scaling run in threads beside each other, composing in the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice, repeat
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from owtmix.base.errors import InputError
from owtmix.base.geometry import Rect
from owtmix.base.ids import StreamId
from owtmix.base.time import FrameClock, SpanCursor, TimeRange
from owtmix.compositor.base import Canvas, ComposedFrame, Layer, Scaler
from owtmix.compositor.gpu.device import DeviceError
from owtmix.compositor.overlays import Overlays
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import DecodeStats
from owtmix.plan.model import PicturePlan, Source
from owtmix.plan.scenes import Tile
from owtmix.plan.shots import Shot
from owtmix.render.results import DecodeFailure, RenderResult

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Footage:
    """The plan's ``sources`` and where they lie, and a ``card`` that decodes what it can of them.

    ``pulse`` is called again and again, from any thread, while they are decoded.
    """

    sources: Sequence[Source]
    paths: Sequence[Path]
    card: DecodingGpu | None = None
    pulse: Callable[[], None] = lambda: None


def render_frames(
    picture: PicturePlan, frames: range, footage: Footage, canvas: Canvas, decoration: Overlays, notes: RenderResult
) -> Generator[tuple[int, ComposedFrame]]:
    """Compose the frames of a range, in order; the caller releases each."""
    with FrameRenderer(picture, footage, canvas, decoration, os.cpu_count() or 1) as projector:
        yield from projector.project(frames, notes)


class FrameRenderer:
    """Composes ranges of frames, each after the one before; files stay open from one range to the next.

    Up to ``threads`` files are decoded at the same time.
    """

    def __init__(
        self,
        picture: PicturePlan,
        footage: Footage,
        canvas: Canvas,
        decoration: Overlays,
        threads: int,
    ) -> None:
        self._picture = picture
        self._canvas = canvas
        self._decoration = decoration
        self._scenes = SpanCursor(picture.scenes)
        self._resources = ExitStack()
        self._contents = {
            stream: self._resources.enter_context(TileRenderer(stream, shots, footage, canvas.scaler, picture.clock))
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
        """Close the files."""
        self._resources.close()

    def project(self, frames: range, notes: RenderResult) -> Generator[tuple[int, ComposedFrame]]:
        """Compose ``frames``, in order; the caller releases each. ``notes`` takes down what was seen."""
        clock, numbers = self._picture.clock, iter(frames)
        span = TimeRange(clock.time(frames.start), clock.time(frames.stop))
        for content in self._contents.values():
            content.begin(notes, span)
        for scene, together in groupby(map(clock.time, frames), self._scenes.at):
            for times in _batched(together, self._canvas.ahead):
                for t, layers in zip(times, self._layers(scene.tiles if scene else (), times), strict=True):
                    yield next(numbers), self._canvas.compose([*layers, *self._decoration.watermarks(t)])
        for content in self._contents.values():
            content.end()

    def _layers(self, tiles: Sequence[Tile], times: Sequence[Fraction]) -> Iterator[list[Layer]]:
        """What is drawn at each of ``times``, which lie in one scene.

        A recording is decoded for all of them before the next: a decoder that is left keeps nothing in the caches.
        """
        places: dict[StreamId, list[Rect]] = {}
        for tile in tiles:
            places.setdefault(tile.stream, []).append(tile.rect)
        contents = self._contents
        for stream in contents.keys() - places.keys():
            contents[stream].close()
        drawn = self._map(TileRenderer.layers, map(contents.__getitem__, places), repeat(times), places.values())
        found = dict(zip(places, drawn, strict=True))
        card = self._decoration.placeholder
        for number in range(len(times)):
            yield [found[tile.stream][number].get(tile.rect) or card(tile.stream, tile.rect) for tile in tiles]


class TileRenderer:
    """What a stream's tiles show, at rising times. Used by one thread at a time."""

    def __init__(
        self, stream: StreamId, shots: Sequence[Shot], footage: Footage, scaler: Callable[[], Scaler], clock: FrameClock
    ) -> None:
        self.stream = stream
        self._all_shots = shots
        self._fps = clock.fps
        self._shots = SpanCursor(shots)
        self._footage = footage
        self._new_scaler = scaler
        self._scaler = scaler()
        self._notes = RenderResult()
        self._span: TimeRange | None = None
        self._open: tuple[int, VideoReader] | None = None
        self._failed: set[int] = set()
        self._seen: Hashable = None
        self._drawn: dict[Rect, Layer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, notes: RenderResult, span: TimeRange) -> None:
        """A range of output time begins; ``notes`` takes down what is seen in it."""
        self._notes, self._span = notes, span

    def end(self) -> None:
        """The range is over; what is open stays open."""
        if self._open and self._span:
            shot = self._shots.at(self._span.end)
            if shot and shot.source == self._open[0]:
                self._layers(self._span.end, ())  # what is damaged right before the end belongs to this range
        if self._open:
            self._note(*self._open)
        self._notes, self._span = RenderResult(), None

    def close(self) -> None:
        """Close the file; should it be shown again, it is opened again."""
        if self._open:
            self._note(*self._open)
            self._open[1].close()
            self._open = None
            self._seen, self._drawn = None, {}
            self._scaler = self._new_scaler()

    def _note(self, source: int, reader: VideoReader) -> None:
        """Take down what was seen in the range alone: however the picture is cut, damage is counted once."""
        shots = [shot for shot in self._all_shots if shot.source == source]
        start = end = None
        if self._span:
            offset_s = shots[0].offset_s
            start = self._span.start - offset_s if shots[0].span.start < self._span.start else None
            end = self._span.end - offset_s if self._span.end < shots[-1].span.end else None
        seen = self._notes.seen
        seen[source] = seen.get(source, DecodeStats()).joined(reader.stats_between(start, end))

    def layers(self, times: Iterable[Fraction], places: Sequence[Rect]) -> list[Mapping[Rect, Layer]]:
        """The picture at each of ``times`` of the output, fitted into each of ``places``; none where a card is due."""
        return [self._layers(t, places) for t in times]

    def _layers(self, t: Fraction, places: Sequence[Rect]) -> Mapping[Rect, Layer]:
        shot = self._shots.at(t)
        self._close_finished()
        if shot is None or shot.source is None or shot.source in self._failed:
            return {}
        try:
            return self._fitted(shot.source, shot.file_time(t), places)
        except DeviceError:  # no file is to blame
            raise
        except Exception as error:  # noqa: BLE001 - whatever a file makes a library raise costs this file alone
            what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self._failed.add(shot.source)
            self._notes.failures[shot.source] = DecodeFailure(t, what)
            return {}

    def _fitted(self, source: int, file_t: Fraction, places: Sequence[Rect]) -> Mapping[Rect, Layer]:
        """The picture of a file at file time ``file_t``, fitted into each of ``places``; nothing for a muted camera."""
        picture = self._reader(source).frame_at(file_t)
        if picture is None or (not self.stream.is_screen and picture.is_black(file_t)):
            return {}
        key = (source, picture.serial)
        if key != self._seen:
            self._seen, self._drawn = key, {}
        self._drawn = {rect: self._drawn.get(rect) or self._scaler.fit(picture, rect, key) for rect in places}
        return self._drawn

    def _reader(self, source: int) -> VideoReader:
        if self._open is None or self._open[0] != source:
            self.close()
            track = self._footage.sources[source].video
            assert track is not None
            path, card, pulse = self._footage.paths[source], self._footage.card, self._footage.pulse
            self._open = source, VideoReader(path, track.index, card, self._glances(source), pulse)
        return self._open[1]

    def _glances(self, source: int) -> SampleTimes:
        """When the file is looked at: at the times of frames, and where a picture is held, at its last moment."""
        shots = [shot for shot in self._all_shots if shot.source == source]
        held = tuple(shot.file_time(shot.span.end) for shot in shots if shot.until_s < shot.span.end)
        return SampleTimes(self._fps, shots[0].offset_s, held)

    def _close_finished(self) -> None:
        """Close a file once no shot to come needs it."""
        if self._open and all(shot.source != self._open[0] for shot in self._shots.rest):
            self.close()


def _batched(items: Iterator[ItemT], size: int) -> Iterator[tuple[ItemT, ...]]:
    while batch := tuple(islice(items, size)):
        yield batch
