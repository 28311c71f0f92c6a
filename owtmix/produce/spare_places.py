"""Spare places of this machine, as further workers of one job use them: each holds one while it makes a chunk."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Final

from owtmix.workers.places import Places

LOOK_EVERY_S: Final = 0.25
"""How often a job looks whether a place is spare that it could start a worker for."""

_log = logging.getLogger(__name__)


class SparePlaces:
    """At most ``most`` of ``places``, by the numbers of the workers that hold them; without places there are none."""

    def __init__(
        self, places: Places | None = None, most: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places = places if most > 0 else None
        self._most = most
        self._clock = clock
        self._held: dict[int, int] = {}
        self._looked_s = -LOOK_EVERY_S
        self._has_spare = False

    def __contains__(self, worker: int) -> bool:
        return worker in self._held

    @property
    def useful(self) -> int:
        """How many further workers have something to do: those that hold a place, and one more if one is spare."""
        if self._places is None:
            return 0
        if (now_s := self._clock()) - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            if (spare := self._take()) is not None:
                os.close(spare)
            self._has_spare = spare is not None
        return len(self._held) + self._has_spare

    def take(self, worker: int) -> bool:
        """Take a place for a worker that has none; False if none is spare."""
        held = self._take()
        if held is None:
            return False
        self._held[worker] = held
        return True

    def give_back(self, worker: int) -> None:
        """Give back the place of a worker, if it has one."""
        if (held := self._held.pop(worker, None)) is not None:
            os.close(held)

    def _take(self) -> int | None:
        if self._places is None or len(self._held) >= self._most:
            return None
        try:
            return self._places.take_spare()
        except OSError as error:
            _log.warning("%s: no further workers: %s", self._places.folder, error.strerror)
            self._places = None
            return None
