"""Where recordings come from and the output goes."""

from __future__ import annotations

from pathlib import Path

from owtmix.errors import Problem, SpecError
from owtmix.spec.job import StorageSpec
from owtmix.storage.base import Store
from owtmix.storage.local import LocalStore

__all__ = ["LocalStore", "Store", "open_store"]


def open_store(spec: StorageSpec, base: Path) -> Store:
    """The store that a job names; a local one is relative to ``base``, the job file's folder.

    Raises:
        SpecError: there is no such store.
    """
    if spec.vendor == "local":
        return LocalStore(base / spec.bucket)
    raise SpecError(Problem("Data.RecordingConfig.StorageConfig.Vendor", f"{spec.vendor} is not built in; write local"))
