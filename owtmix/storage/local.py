"""A folder as a store. Nothing outside of it is read or written, links included."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from owtmix.base.errors import DestinationError, InputError
from owtmix.storage.base import Copy


class LocalStore:
    """Keys are paths below ``root``."""

    secrets: Final[tuple[str, ...]] = ()

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def address(self, key: str) -> str:
        return str(self._root / key)

    def identity(self, key: str) -> str:
        path = self._root / key
        return str(path.parent.resolve() / path.name)

    def read(self, key: str, max_bytes: int) -> bytes | None:
        path = self._find(key)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        if len(data) > max_bytes:
            raise InputError(f"{path} is larger than {max_bytes} bytes")
        return data

    def locate(self, key: str, folder: Path) -> Copy:  # noqa: ARG002 - it is a local file already
        path = self._find(key)
        if path is None:
            raise InputError("does not exist")
        return Copy(path)

    def read_part(self, key: str, copy: Copy, start: int, length: int) -> bytes | None:
        """Nobody needs parts of what is here."""

    def fetch(self, key: str, copy: Copy, on_progress: Callable[[int], None]) -> None:
        """Nothing is missing."""

    def stage(self, key: str, job_id: str, folder: Path) -> Path:  # noqa: ARG002 - a rename needs the same disk
        final = self._root / key
        staged = final.with_name(f".{job_id}.part{final.suffix}")
        try:
            self._inside(str(Path(key).parent))
            final.parent.mkdir(parents=True, exist_ok=True)
        except InputError as error:
            raise DestinationError(str(error)) from None
        except OSError as error:
            raise DestinationError(f"the folder {final.parent} cannot be made: {error.strerror}") from None
        try:
            if final.is_dir():
                raise DestinationError(f"{final} is a folder: the output must have the name of a file")
            # Only trying tells; and what lies there, of a run that was killed or a link that leads out, must be gone.
            staged.unlink(missing_ok=True)
            staged.touch(exist_ok=False)
            staged.unlink()
        except OSError as error:
            raise DestinationError(f"{final} cannot be written: {error.strerror}") from None
        return staged

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:  # noqa: ARG002 - at once
        final = self._root / key
        try:
            with staged.open("rb") as file:
                os.fsync(file.fileno())
            staged.replace(final)
            folder = os.open(final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise DestinationError(f"{final} cannot be written: {error.strerror}") from None
        return self.address(key)

    def _find(self, key: str) -> Path | None:
        """The real path of the file ``key``; None where there is none.

        Raises:
            InputError: it is no file, cannot be reached, or leads out of the folder.
        """
        path = self._inside(key)
        try:
            kind = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(kind):
            raise InputError(f"{path} is not a file")
        return path

    def _inside(self, key: str) -> Path:
        """The real path of ``key``.

        Raises:
            InputError: a link or the key leads out of the folder, or nowhere.
        """
        try:
            path = (self._root / key).resolve()
        except (OSError, RuntimeError, ValueError):  # before Python 3.13 a circle of links is a RuntimeError
            raise InputError(f"{key} leads nowhere") from None
        if not path.is_relative_to(self._root):
            raise InputError(f"{key} leads out of the folder {self._root}")
        return path
