"""The workers and folders with which a plan is carried out, and the receiver of warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from owtmix.produce.chunk_cache import ChunkCache
from owtmix.produce.spare_places import SparePlaces
from owtmix.workers.base import Executor
from owtmix.workers.benches import Benches


@dataclass(frozen=True, slots=True)
class Workspace:
    """The workers and folders with which a plan is carried out.

    The ``executor`` composes with ``workers`` at the same time, each of which decodes up to ``threads`` sources at a
    time; further workers take ``spare`` places. Finished tracks go to the ``cache``, unfinished ones lie in the folder
    ``tracks``. ``benches`` of a cluster compose, too.
    """

    executor: Executor
    workers: int
    threads: int
    cache: ChunkCache
    tracks: Path
    spare: SparePlaces = field(default_factory=SparePlaces)
    benches: Benches | None = None


class WarningSink(Protocol):
    """Takes warnings for the user, by kind."""

    def warn_damaged(self, message: str) -> None:
        """A source is damaged, or cannot be decoded from somewhere on."""

    def warn_lost(self, message: str) -> None:
        """A source cannot be fetched any more."""

    def warn_restarted(self, message: str) -> None:
        """Something that a process began is made once more."""
