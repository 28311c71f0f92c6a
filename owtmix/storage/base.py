"""The seam between a job and where its files live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """A place of objects named by keys such as ``room/alice.webm``. A store is used for input or for output."""

    @property
    def secrets(self) -> Sequence[str | None]:
        """What it needs to get in; never to be written anywhere."""

    def address(self, key: str) -> str:
        """Where an object is, for people and programs; never a secret."""

    def read(self, key: str, max_bytes: int) -> bytes | None:
        """A whole small object; None when there is none.

        Raises:
            InputError: it is larger than ``max_bytes``, or cannot be read.
        """

    def fetch(self, key: str, folder: Path) -> Path:
        """The object as a local file, in ``folder`` unless it is one already; from any thread.

        Raises:
            InputError: there is none, or it cannot be read.
            StoreError: the store cannot be used.
            DestinationError: ``folder`` takes no more.
        """

    def stage(self, key: str, job_id: str, folder: Path) -> Path:
        """Where to write what ``commit`` will make the object ``key``: in ``folder``, or where it is to be.

        Raises:
            DestinationError: nothing can be written there.
        """

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:
        """Make the finished file ``staged`` the object ``key``, all at once; returns its address.

        ``on_progress`` is told how many bytes are there.

        Raises:
            DestinationError: it cannot be made so.
        """
