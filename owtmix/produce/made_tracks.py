"""The tracks that are finished: those of earlier runs, and those of this one, by their keys."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from owtmix.produce.chunk_cache import CachedTrack, ChunkCache
from owtmix.produce.tasks import TrackTask
from owtmix.produce.workspace import WarningSink
from owtmix.render.results import RenderResult
from owtmix.workers.base import Outcome

_log = logging.getLogger(__name__)
_RESULT: Final = TypeAdapter(RenderResult)


class MadeTracks:
    """The finished tracks in ``cache``. Their warnings go to ``warnings``, also those of earlier runs."""

    def __init__(self, cache: ChunkCache, warnings: WarningSink) -> None:
        self._cache = cache
        self._warnings = warnings
        self._found: dict[str, CachedTrack] = {}
        self._made_now: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def take_over(self, keys: Iterable[str]) -> None:
        """Take over what earlier runs have finished of ``keys``."""
        for key in keys:
            if (track := self._cache.find(key)) and (result := _result_of(track)):
                self._found[key] = track
                for warning in track.warnings:
                    self._warnings.warn_damaged(warning)
                self._warn_of_gpu(result)

    def keep(self, outcome: Outcome[TrackTask], key: str) -> None:
        """Keep the track that a task has made.

        Raises:
            RenderError: it is longer than any.
            DestinationError: the disk takes no more.
        """
        result = _RESULT.dump_python(outcome.value, mode="json")
        task = outcome.task
        self._found[key] = self._cache.add(key, task.track, result, outcome.warnings, task.most_bytes)
        self._made_now.add(key)
        self._warn_of_gpu(outcome.value)
        took_s = outcome.took_s
        _log.debug("made %s in %.2f s", outcome.task.name, took_s, extra={"track": key, "took_s": took_s})

    def forget(self, keys: Iterable[str]) -> None:
        """Remove finished tracks, so that they are made again, also by later runs.

        Raises:
            DestinationError: the disk takes no more.
        """
        gone = [key for key in keys if self._found.pop(key, None)]
        self._made_now.difference_update(gone)
        self._cache.remove(gone)

    def path(self, key: str) -> Path:
        """The file of a finished track."""
        return self._found[key].path

    def results(self, keys: Iterable[str]) -> Iterator[RenderResult]:
        """What the tasks of finished tracks found."""
        return (_RESULT.validate_python(self._found[key].result) for key in keys)

    def count_reused(self, keys: Iterable[str]) -> int:
        """How many of the finished tracks were made by earlier runs."""
        return sum(key in self._found and key not in self._made_now for key in keys)

    def _warn_of_gpu(self, result: RenderResult) -> None:
        if result.gpu_failure:
            self._warnings.warn_restarted(result.gpu_failure)


def _result_of(track: CachedTrack) -> RenderResult | None:
    """What its task found; None when that cannot be read, so that the track is made again."""
    try:
        return _RESULT.validate_python(track.result)
    except ValidationError:
        _log.warning("a finished track is made again, since what it tells of makes no sense: %s", track.path)
        return None
