"""The recordings of a job on another node: in the folder that both share, or fetched there from the store."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from owtmix.base.errors import ChangedError, DestinationError, InputError
from owtmix.base.file_version import CHANGED, file_version, is_same_elsewhere
from owtmix.inputs.disk_budget import format_gib
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.settings import Settings
from owtmix.jobs.benches import Kit
from owtmix.jobs.request import s3_options
from owtmix.storage import Store, open_store
from owtmix.workers.pending_files import is_as_fetched, mark_fetched

_POLL_S: Final = 0.2


class BenchInputs:
    """Brings recordings to this node, into ``folder`` if they are fetched; benches of one job share it.

    The store is opened with the settings and the access keys of this node: none travel here.
    """

    def __init__(self, kit: Kit, settings: Settings, folder: Path) -> None:
        self._kit = kit
        self._settings = settings
        self._folder = folder
        self._store: Store | None = None
        self._brought: dict[str, SourceFile] = {}

    @property
    def paths(self) -> list[Path]:
        """The recordings in a shared folder that were asked for."""
        return [file.path for file in self._brought.values() if not file.is_fetched]

    def bring(self, file: SourceFile, beat: Callable[[], None]) -> SourceFile:
        """A recording as it is on this node; ``beat`` is called while it comes.

        Raises:
            InputError: it is not to be had here, or in another version.
            DestinationError: there is no room for it.
        """
        found = self._brought.get(file.version)
        if found is None or (found.is_fetched and not is_as_fetched(found.path)):
            found = self._fetch(file, beat) if file.is_fetched else _shared(file)
            self._brought[file.version] = found
        return found

    def _fetch(self, file: SourceFile, beat: Callable[[], None]) -> SourceFile:
        if self._store is None:
            s3 = s3_options(self._settings)
            self._store = open_store(self._kit.store, self._kit.folder, "the store", s3, self._settings.local.roots)
        copy = self._store.locate(file.key, self._folder)
        if copy.path.name != file.path.name:  # the name says which version it is of
            raise ChangedError(CHANGED)
        lock = os.open(copy.path.with_name(f".{copy.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for_lock(lock, beat)
            copy = self._store.locate(file.key, self._folder)
            if not (copy.complete and is_as_fetched(copy.path)):
                self._check_room(copy.size_bytes - copy.present_bytes)
                self._store.fetch(file.key, copy, lambda _: beat())
                mark_fetched(copy.path)
        finally:
            os.close(lock)
        return replace(file, copy=replace(file.copy, path=copy.path, present_bytes=copy.size_bytes))

    def _check_room(self, size_bytes: int) -> None:
        there = sum(path.stat().st_size for path in self._folder.iterdir())
        allowed_bytes = self._settings.storage.max_inputs_mib << 20
        if size_bytes > shutil.disk_usage(self._folder).free or there + size_bytes > allowed_bytes:
            raise DestinationError(f"the node has no room for another {format_gib(size_bytes)} of recordings")


def _shared(file: SourceFile) -> SourceFile:
    """A recording in a folder that this node shares with the job's home."""
    try:
        here = file_version(file.path)
    except OSError as error:
        raise InputError(f"{file.path} cannot be read on this node: {error.strerror}") from None
    if file.copy.version is None or not is_same_elsewhere(file.copy.version, here):
        raise ChangedError(f"{file.path} is another file on this node")
    return replace(file, copy=replace(file.copy, version=here))


def _wait_for_lock(lock: int, beat: Callable[[], None]) -> None:
    """Wait until no other bench fetches the same recording."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            beat()
            time.sleep(_POLL_S)
        else:
            return
