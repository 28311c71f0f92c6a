"""A local folder as a store. Nothing outside of the folder is read or written, also not through links.

A key is resolved first, since links inside are followed; what was resolved is then opened without following any.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from owtmix.base.beneath import open_file, open_folder, opened_folder, state_of
from owtmix.base.errors import DestinationError, InputError
from owtmix.base.file_version import version_of
from owtmix.base.named_file import read_opened
from owtmix.base.shortage import machine_error
from owtmix.jobfile.object_key import normal_form
from owtmix.storage.base import LocalCopy
from owtmix.storage.staged_files import StagedFile, make_staged, remove_left, staged_files

_NOTHING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""A name leads to nothing, or is that of a link to nothing."""


class LocalStore:
    """A folder that implements ``owtmix.storage.base.Store``; keys are paths relative to ``root``."""

    secrets: Final[tuple[str, ...]] = ()

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._staged: dict[Path, tuple[StagedFile, weakref.finalize[..., LocalStore]]] = {}
        """Each file that is staged, and what ends its lock."""

    @property
    def root(self) -> Path:
        """The folder, with links resolved."""
        return self._root

    def address(self, key: str) -> str:
        return str(self._root / key)

    def identity(self, key: str) -> str:
        path = self._root / key
        return str(Path(os.path.realpath(path.parent)) / path.name)

    def places(self, key: str) -> AbstractSet[str]:
        """Return the path, with links resolved, and device and number of the file, if there is one.

        These two are the same for hard links, behind bind mounts, and in other spellings where the file system does not
        tell these apart. The same files mounted twice over a network may have other ones.
        """
        path = self._root / key
        found = {f"path {normal_form(self.identity(key))}"}
        for follow in (True, False):
            with suppress(OSError):
                file = path.stat(follow_symlinks=follow)
                found.add(f"file {file.st_dev} {file.st_ino}")
        return found

    def replaced(self, key: str, job_id: str) -> Sequence[str]:
        folder = PurePosixPath(key).parent
        try:
            with opened_folder(self._inside(str(folder))) as opened:
                return key, *(str(folder / name) for name in staged_files(opened, job_id))
        except (InputError, OSError):  # nothing can be removed there
            return (key,)

    def read(self, key: str, max_bytes: int) -> bytes | None:
        found = self._find(key)
        if found is None:
            return None
        path, _ = found
        try:
            data = read_opened(open_file(path, os.O_RDONLY), max_bytes)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        if len(data) > max_bytes:
            raise InputError(f"{path} is larger than {max_bytes} bytes")
        return data

    def locate(self, key: str, folder: Path) -> LocalCopy:  # noqa: ARG002 - nothing is downloaded
        found = self._find(key)
        if found is None:
            raise InputError("does not exist")
        path, state = found
        return LocalCopy(path, version=version_of(state))

    def read_part(self, key: str, copy: LocalCopy, start: int, length: int) -> bytes | None:
        """Return None: local files are read in place."""

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        """Do nothing: local files are complete."""

    def stage(self, key: str, job_id: str, folder: Path) -> Path:  # noqa: ARG002 - the file is renamed, which needs the same disk
        final = self._root / key
        try:
            parent = self._inside(str(Path(key).parent))
            opened = open_folder(parent, make=True)
        except InputError as error:
            raise DestinationError(str(error)) from None
        except OSError as error:
            raise DestinationError(f"the folder {final.parent} cannot be made: {error.strerror}") from None
        try:
            _check_name(final, opened)
            remove_left(opened, job_id)
            made = make_staged(opened, job_id, final.suffix)
        except BaseException as error:
            os.close(opened)
            if not isinstance(error, OSError):
                raise
            raise DestinationError(f"{final} cannot be written: {error.strerror}") from None
        staged = parent / made.name
        self._staged[staged] = made, weakref.finalize(self, made.close)
        return staged

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:  # noqa: ARG002 - a rename has no progress
        made, close = self._staged[staged]
        final = self._root / key
        try:
            made.publish(final.name)
        except OSError as error:
            raise DestinationError(f"{final} cannot be written: {error.strerror}") from None
        del self._staged[staged]
        close()
        return self.address(key)

    def _find(self, key: str) -> tuple[Path, os.stat_result] | None:
        """Return the path of the file ``key`` with links resolved, and its state; None when it does not exist.

        Raises:
            InputError: ``key`` is not a regular file, cannot be accessed, or is outside of the folder.
        """
        path = self._inside(key)
        try:
            state = state_of(path)
        except (FileNotFoundError, NotADirectoryError):
            if not self._root.is_dir():
                problem = "is not a folder" if self._root.exists() else "does not exist"
                raise InputError(f"the folder {self._root} {problem}") from None
            for part in (PurePosixPath(key), *PurePosixPath(key).parents):
                linked = self._root / part
                if linked.is_symlink() and not linked.exists():
                    raise InputError(f"{part} is a link to {linked.resolve()}, which does not exist") from None
            return None
        except OSError as error:
            raise machine_error(error) or InputError(f"{path} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{path} is not a file")
        return path, state

    def _inside(self, key: str) -> Path:
        """Return the path of ``key`` with links resolved.

        Raises:
            InputError: The key or a link is outside of the folder, or a link refers to itself.
        """
        try:
            path = (self._root / key).resolve()
        except (OSError, RuntimeError, ValueError):  # RuntimeError: a cycle of links, before Python 3.13
            raise InputError(f"{key} cannot be resolved") from None
        if not path.is_relative_to(self._root):
            raise InputError(f"{key} leads out of the folder {self._root}")
        return path


def _check_name(final: Path, folder: int) -> None:
    """Check that a file may get the name of ``final`` in its ``folder``, a descriptor.

    Raises:
        DestinationError: a folder has it.
        OSError: none can have it.
    """
    try:
        found = os.stat(final.name, dir_fd=folder).st_mode
    except OSError as error:
        if error.errno in _NOTHING:
            return
        raise
    if stat.S_ISDIR(found):
        raise DestinationError(f"{final} is a folder: the output must have the name of a file")
