"""Temporary files that are removed when a run ends: unfinished outputs, chunks, downloaded images."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from owtmix.base.own_files import remove

_log = logging.getLogger(__name__)


class TemporaryPaths:
    """Registry of temporary files and folders. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[Path, None] = {}

    def add(self, path: Path) -> Path:
        """Register a file or folder before it is created. Returns ``path``."""
        with self._lock:
            self._paths[path.absolute()] = None
        return path

    def discard(self, path: Path) -> None:
        """Unregister ``path``: it was renamed to its final name, or removed."""
        with self._lock:
            self._paths.pop(path.absolute(), None)

    def remove_all(self) -> None:
        """Remove all registered paths, newest first. Logs a warning for a path that cannot be removed."""
        with self._lock:
            paths = list(reversed(self._paths))
            self._paths.clear()
        for path in paths:
            try:
                remove(path)
            except OSError as error:
                _log.warning("a temporary file cannot be removed: %s (%s)", path, error.strerror)
