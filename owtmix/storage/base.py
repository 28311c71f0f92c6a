"""The seam between a job and where its files live."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """A place of objects named by keys such as ``room/alice.webm``. A store is used for input or for output."""

    def address(self, key: str) -> str:
        """Where an object is, for people and programs; never a secret."""

    def read(self, key: str, max_bytes: int) -> bytes | None:
        """A whole small object; None when there is none.

        Raises:
            InputError: it is larger than ``max_bytes``, or cannot be read.
        """

    def fetch(self, key: str) -> Path:
        """The object as a local file.

        Raises:
            InputError: there is none, or it cannot be read.
        """

    def stage(self, key: str, job_id: str) -> Path:
        """Where to write what ``commit`` will make the object ``key``.

        Raises:
            DestinationError: nothing can be written there.
        """

    def commit(self, staged: Path, key: str) -> str:
        """Make the finished file ``staged`` the object ``key``, all at once; returns its address.

        Raises:
            DestinationError: it cannot be made so.
        """
