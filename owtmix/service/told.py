"""What receivers of a mix were told, kept with the callbacks that tell it: whoever goes on tells nothing twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from owtmix.notify.events import Event
from owtmix.service import callbacks, jobs
from owtmix.service.envelope import as_json
from owtmix.service.jobs import Job


@dataclass(frozen=True, slots=True)
class Mix:
    """What became of a mix: where it was uploaded to, or why there is none; both are empty where nobody came."""

    uploaded: tuple[str, ...] = ()
    failure: str = ""

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        return cls(tuple(found["uploaded"]), found["failure"])


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a job.

    Attributes:
        streams: The streams that have come and not left, by session.
        warnings: Warnings of the mixer.
        is_behind: Whether the mix is behind live.
        files: How many files of the mix were told.
        mix: What became of the mix; None until then.
        is_pushed: Whether all pushes were told to have ended with the room.
    """

    streams: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    is_behind: bool = False
    files: int = 0
    mix: Mix | None = None
    is_pushed: bool = False

    def to_json(self) -> str:
        mix = {"uploaded": self.mix.uploaded, "failure": self.mix.failure} if self.mix else None
        values = {name: getattr(self, name) for name in self.__slots__} | {"mix": mix}
        return as_json(values)

    @classmethod
    def from_json(cls, text: str) -> Self:
        found = json.loads(text)
        mix = Mix.from_json(found["mix"]) if found["mix"] else None
        return cls(**found | {"mix": mix})


def recall(connection: sqlite3.Connection, job: Job) -> Told:
    """What was told of a job: a piece of work for ``Database.run``."""
    row = connection.execute("SELECT what FROM told WHERE job = ?", (job.n,)).fetchone()
    return Told.from_json(row["what"]) if row else Told()


def tell(connection: sqlite3.Connection, job: Job, told: Told, events: Sequence[Event]) -> None:
    """Store ``events`` for the receivers that the job has now, by which all of ``told`` was told."""
    connection.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (job.n, told.to_json()))
    callbacks.store(connection, jobs.find(connection, job.id), events)
