"""Jobs, attempts and their ends without files and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from owtmix.batch.agenda import Planned
from owtmix.batch.attempt import Attempt, BatchJob, Ended
from owtmix.batch.policy import History

NEW = History()


def job(name: str = "a", **more: Any) -> BatchJob:
    """A job."""
    return BatchJob(name, Path(f"/jobs/{name}/cfg.json"), f"key of {name}", **more)


def planned(name: str = "a", cost: float = 1.0, history: History = NEW, **more: Any) -> Planned:
    """A job that is to be run."""
    return Planned(job(name), cost, Path(f"/logs/{name}.log"), history=history, **more)


def attempt(name: str = "a", number: int = 1, **more: Any) -> Attempt:
    """An attempt at a job."""
    return Attempt(job(name), number, Path(f"/logs/{name}.log"), **more)


def ended(begun: Attempt, exit_status: int | None = 0, node: str = "here", **more: Any) -> Ended:
    """The end of an attempt."""
    return Ended(begun, exit_status, node=node, **more)
