"""A folder as a store. Nothing outside of it is read or written, links included."""

from __future__ import annotations

import os
from pathlib import Path

from owtmix.errors import DestinationError, InputError


class LocalStore:
    """Keys are paths below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def address(self, key: str) -> str:
        return str(self._root / key)

    def read(self, key: str, max_bytes: int) -> bytes | None:
        path = self._inside(key)
        try:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        if len(data) > max_bytes:
            raise InputError(f"{path} is larger than {max_bytes} bytes")
        return data

    def fetch(self, key: str) -> Path:
        path = self._inside(key)
        if not path.is_file():
            raise InputError("is not a file" if path.exists() else "does not exist")
        return path

    def stage(self, key: str, job_id: str) -> Path:
        final = self._root / key
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            self._inside(str(Path(key).parent))
        except InputError as error:
            raise DestinationError(str(error)) from None
        except OSError as error:
            raise DestinationError(f"the folder {final.parent} cannot be made: {error.strerror}") from None
        if final.is_dir():
            raise DestinationError(f"{final} is a folder: FileNamePrefix must name a file")
        if not os.access(final.parent, os.W_OK):
            raise DestinationError(f"the folder {final.parent} cannot be written")
        return final.with_name(f".{final.stem}.{job_id}.part{final.suffix}")

    def commit(self, staged: Path, key: str) -> str:
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

    def _inside(self, key: str) -> Path:
        """The real path of ``key``.

        Raises:
            InputError: a link or the key leads out of the folder.
        """
        path = (self._root / key).resolve()
        if not path.is_relative_to(self._root):
            raise InputError(f"leads out of the folder {self._root}")
        return path
