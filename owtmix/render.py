"""The only frame loop: any range of a plan's frames, drawn alone, is the same as in the whole run.

Decoding and scaling run in threads beside each other, composing in the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Self

from owtmix.canvas.base import Canvas, ComposedFrame, Layer, Scaler
from owtmix.clip import Seen
from owtmix.decoration import Decoration
from owtmix.errors import InputError
from owtmix.geometry import Rect
from owtmix.media.decode import VideoReader
from owtmix.plan import Picture, Source
from owtmix.shots import Shot
from owtmix.spec.job import StreamId
from owtmix.timing import SpanCursor, timecode


@dataclass(frozen=True, slots=True)
class Footage:
    """The plan's ``sources`` and where they lie. ``warn`` is told, from any thread, when one fails.

    ``seen`` is what those that were decoded turned out to be, once their readers are closed.
    """

    sources: Sequence[Source]
    paths: Sequence[Path]
    warn: Callable[[str], None]
    seen: dict[int, Seen] = field(default_factory=dict)


def render(
    picture: Picture,
    frames: range,
    footage: Footage,
    canvas: Canvas,
    decoration: Decoration,
) -> Generator[tuple[int, ComposedFrame]]:
    """Compose the frames of a range, in order; the caller releases each."""
    with ExitStack() as resources:
        contents = {
            stream: resources.enter_context(TileContent(stream, shots, footage, canvas.scaler()))
            for stream, shots in picture.shots.items()
        }
        pool = resources.enter_context(ThreadPoolExecutor(os.cpu_count() or 1, "decode"))
        scenes = SpanCursor(picture.scenes)
        for number in frames:
            t = picture.clock.time(number)
            scene = scenes.at(t)
            tiles = scene.tiles if scene else ()
            places: dict[StreamId, list[Rect]] = {}
            for tile in tiles:
                places.setdefault(tile.stream, []).append(tile.rect)
            for stream in contents.keys() - places.keys():
                contents[stream].close()
            drawn = pool.map(TileContent.layers, map(contents.__getitem__, places), repeat(t), places.values())
            found = dict(zip(places, drawn, strict=True))
            layers = [found[tile.stream].get(tile.rect) or decoration.card(tile.stream, tile.rect) for tile in tiles]
            yield number, canvas.compose([*layers, *decoration.watermarks(t)])


class TileContent:
    """What a stream's tiles show, at rising times. Used by one thread at a time."""

    def __init__(self, stream: StreamId, shots: Sequence[Shot], footage: Footage, scaler: Scaler) -> None:
        self._is_screen = stream.is_screen
        self._shots = SpanCursor(shots)
        self._footage = footage
        self._scaler = scaler
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

    def close(self) -> None:
        """Close the file; should it be shown again, it is opened again."""
        if self._open:
            source, reader = self._open
            reader.close()
            seen = self._footage.seen
            seen[source] = seen.get(source, Seen()).joined(reader.seen)
            self._open = None

    def layers(self, t: Fraction, places: Sequence[Rect]) -> Mapping[Rect, Layer]:
        """The picture at output time ``t``, fitted into each of ``places``; nothing where the card is due."""
        shot = self._shots.at(t)
        self._close_finished()
        if shot is None or shot.source is None or shot.source in self._failed:
            return {}
        try:
            return self._fitted(shot.source, shot.file_time(t), places)
        except Exception as error:  # noqa: BLE001 - whatever a file makes a library raise costs this file alone
            name = self._footage.sources[shot.source].key
            what = error if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self._failed.add(shot.source)
            self._footage.warn(f"{name} fails at {timecode(t)} and is a placeholder from there on: {what}")
            return {}

    def _fitted(self, source: int, file_t: Fraction, places: Sequence[Rect]) -> Mapping[Rect, Layer]:
        """The picture of a file at file time ``file_t``, fitted into each of ``places``; nothing for a muted camera."""
        picture = self._reader(source).picture_at(file_t)
        if picture is None or (not self._is_screen and picture.is_black(file_t)):
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
            self._open = source, VideoReader(self._footage.paths[source], track.index)
        return self._open[1]

    def _close_finished(self) -> None:
        """Close a file once no shot to come needs it."""
        if self._open and all(shot.source != self._open[0] for shot in self._shots.rest):
            self.close()
