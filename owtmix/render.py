"""The only frame loop: any range of a plan's frames, drawn alone, is the same as in the whole run.

Decoding and scaling run in threads beside each other, composing in the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from owtmix.canvas.base import Canvas, ComposedFrame, Layer, Scaler
from owtmix.decoration import Decoration
from owtmix.errors import InputError
from owtmix.media.decode import VideoReader
from owtmix.plan import Picture, Source
from owtmix.scene import Tile
from owtmix.shots import Shot
from owtmix.timing import SpanCursor, timecode

JUST_BEFORE_S: Final = Fraction(1, 10**9)
"""Shorter than any container's tick."""


@dataclass(frozen=True, slots=True)
class Footage:
    """The plan's ``sources`` and where they lie. ``warn`` is told, from any thread, when one fails."""

    sources: Sequence[Source]
    paths: Sequence[Path]
    warn: Callable[[str], None]


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
            stream: resources.enter_context(TileContent(shots, footage, canvas.scaler()))
            for stream, shots in picture.shots.items()
        }
        pool = resources.enter_context(ThreadPoolExecutor(os.cpu_count() or 1, "decode"))
        scenes = SpanCursor(picture.scenes)
        for number in frames:
            t = picture.clock.time(number)
            scene = scenes.at(t)
            tiles = scene.tiles if scene else ()
            found = list(pool.map(lambda tile, t: contents[tile.stream].layer(t, tile), tiles, [t] * len(tiles)))
            layers = [
                layer or decoration.card(tile.stream, tile.rect) for tile, layer in zip(tiles, found, strict=True)
            ]
            yield number, canvas.compose([*layers, *decoration.watermarks(t)])


class TileContent:
    """What a stream's tile shows, at rising times. Used by one thread at a time."""

    def __init__(self, shots: Sequence[Shot], footage: Footage, scaler: Scaler) -> None:
        self._shots = SpanCursor(shots)
        self._footage = footage
        self._scaler = scaler
        self._open: tuple[int, VideoReader] | None = None
        self._failed: set[int] = set()
        self._layer: Layer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def layer(self, t: Fraction, tile: Tile) -> Layer | None:
        """The picture at output time ``t``, fitted into ``tile``; None where the card is due."""
        shot = self._shots.at(t)
        self._close_finished()
        if shot is None or shot.source is None or shot.source in self._failed:
            return None
        file_t = min(t, shot.until_s - JUST_BEFORE_S) - shot.offset_s
        try:
            picture = self._reader(shot.source).picture_at(file_t)
        except InputError as error:
            name = self._footage.sources[shot.source].key
            self._footage.warn(f"{name} fails at {timecode(t)} and is a placeholder from there on: {error}")
            self._failed.add(shot.source)
            return None
        if picture is None:
            return None
        key = (shot.source, picture.serial)
        if self._layer is None or self._layer.key != key or self._layer.rect != tile.rect:
            self._layer = self._scaler.fit(picture, tile.rect, key)
        return self._layer

    def _reader(self, source: int) -> VideoReader:
        if self._open is None or self._open[0] != source:
            self._close()
            track = self._footage.sources[source].video
            assert track is not None
            self._open = source, VideoReader(self._footage.paths[source], track.index)
        return self._open[1]

    def _close_finished(self) -> None:
        """Close a file once no shot to come needs it."""
        if self._open and all(shot.source != self._open[0] for shot in self._shots.rest):
            self._close()

    def _close(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None
