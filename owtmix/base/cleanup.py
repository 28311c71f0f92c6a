"""The files that must be gone however a run ends: half outputs, pieces, fetched images."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

_log = logging.getLogger(__name__)


class TemporaryPaths:
    """A register of temporary paths. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[Path, None] = {}

    def add(self, path: Path) -> Path:
        """Register a file or folder before it is made; returns ``path``."""
        with self._lock:
            self._paths[path.absolute()] = None
        return path

    def discard(self, path: Path) -> None:
        """Forget ``path``: it was renamed to its final name, or is gone."""
        with self._lock:
            self._paths.pop(path.absolute(), None)

    def sweep(self) -> None:
        """Remove what is registered, newest first. What cannot be removed is a warning: the run ends anyway."""
        with self._lock:
            paths = list(reversed(self._paths))
            self._paths.clear()
        for path in paths:
            try:
                _remove(path)
            except OSError as error:
                _log.warning("a temporary file stays behind: %s (%s)", path, error.strerror)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
