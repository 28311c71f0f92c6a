"""Files and folders of the tool's own: only their owner reads them, and nothing that lies in their place is followed.

Somebody else may have put a link, a FIFO, a device or a hard link there, and disks lose and mix up blocks. All
functions raise ``OSError`` then, whose ``strerror`` is a phrase for a message.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMELESS: Final = getattr(os, "O_TMPFILE", 0)
_NEEDS_NAMES: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EEXIST})
"""Errors of systems without nameless files or without ``/proc``, and of a file that another process made meanwhile."""


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, or take the one that is there. Folders above are made, too.

    Raises:
        OSError: a link or a file stands in its place, or it belongs to another user.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        taken = "a file, or a link to nothing, stands in the place of a folder"
        raise NotADirectoryError(errno.ENOTDIR, taken, error.filename) from None
    with suppress(FileExistsError):
        path.mkdir(mode=FOLDER_MODE)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, f"{_kind(found.st_mode)} stands in the place of a folder", str(path))
    # Some network disks show one owner for everything, who is then that of the folder above, too.
    if found.st_uid not in {os.geteuid(), path.parent.stat().st_uid}:
        raise PermissionError(errno.EPERM, f"it belongs to another user ({found.st_uid})", str(path))
    if stat.S_IMODE(found.st_mode) & 0o777 != FOLDER_MODE:
        with suppress(PermissionError):
            path.chmod(FOLDER_MODE)


def make_emptied(path: Path) -> None:
    """Make a folder as ``make_folder``. Whatever stands in its place, or is in it, is removed."""
    remove(path)
    make_folder(path)


def make_tidy(path: Path) -> None:
    """Make a folder as ``make_folder``, in one of the tool's own. Only its own plain files stay in it.

    A link or a file in its place is removed, and so are links, folders, devices and hard links in it.
    """
    if path.is_symlink() or not path.is_dir():
        remove(path)
    make_folder(path)
    with os.scandir(path) as entries:
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            if not _is_own(found):
                remove(Path(entry.path))
            elif stat.S_IMODE(found.st_mode) != FILE_MODE:
                with suppress(PermissionError):
                    Path(entry.path).chmod(FILE_MODE)


def remove(path: Path) -> None:
    """Remove a file, a folder or a link, without following it. Nothing happens when there is none.

    Raises:
        OSError: it cannot be removed.
    """
    with suppress(FileNotFoundError):
        if not _unlock_folder(path):
            path.unlink()
            return
        folder = os.open(path, _FOLDER)
        try:
            _empty(folder)
        finally:
            os.close(folder)
        path.rmdir()


def _empty(folder: int) -> None:
    """Remove all in an open folder. What lies deep is moved up first: a worker may nest folders beyond any path."""
    names = itertools.count()
    while found := os.listdir(folder):
        for name in found:
            if not _unlock_folder(name, folder):
                os.unlink(name, dir_fd=folder)
                continue
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                for deeper in os.listdir(inner):  # noqa: PTH208 - of an open folder
                    _unlock_folder(deeper, inner)  # a folder that is moved is written to
                    free = next(new for new in map(".{}.removed".format, names) if new not in found)
                    os.rename(deeper, free, src_dir_fd=inner, dst_dir_fd=folder)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=folder)


def _unlock_folder(path: str | Path, folder: int | None = None) -> bool:
    """Whether ``path``, in an open ``folder``, is a folder itself; then its owner may enter and empty it now."""
    if not stat.S_ISDIR(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    with suppress(PermissionError):
        os.chmod(path, FOLDER_MODE, dir_fd=folder)
    return True


def own_file(path: str | Path, flags: int) -> int:
    """Open a file of the tool's own: an opener for ``open``. A new file can be read by its owner only.

    Raises:
        OSError: what is there is not a plain file, or has another name, too.
    """
    try:
        descriptor = os.open(path, flags & ~os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a link stands in the place of a file", str(path)) from None
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "a pipe stands in the place of a file", str(path)) from None
        raise
    try:
        _take(descriptor, flags, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _take(descriptor: int, flags: int, path: str | Path) -> None:
    """Make an open file private, and empty it if ``flags`` say so; raises as ``own_file``."""
    found = os.fstat(descriptor)
    if not _is_own(found):
        raise OSError(errno.EINVAL, f"{_kind(found.st_mode)} stands in the place of a file", str(path))
    if flags & (os.O_WRONLY | os.O_RDWR):
        if stat.S_IMODE(found.st_mode) != FILE_MODE:
            with suppress(PermissionError):
                os.fchmod(descriptor, FILE_MODE)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)


def make_own(path: Path) -> None:
    """Make an empty file of the tool's own, for a library that opens files by their names.

    Raises:
        OSError: as ``own_file``.
    """
    os.close(own_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))


def read_own(path: Path, max_bytes: int) -> bytes:
    """The content of a file of the tool's own.

    Raises:
        OSError: as ``own_file``, or it is larger than ``max_bytes``.
    """
    with open(path, "rb", opener=own_file) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(errno.EINVAL, f"it is larger than {max_bytes:,} bytes", str(path))
        return file.read(size)


def write_whole(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write a file that appears all at once, in place of a file or a link that is there.

    A process that is killed meanwhile leaves nothing behind: until it is complete, the file has no name.
    ``mode`` is reduced by the process's umask.
    """
    try:
        _write_nameless(path, data, mode)
    except OSError as error:
        if error.errno not in _NEEDS_NAMES:
            raise
        _write_renamed(path, data, mode)


def replace_whole(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write a file as ``write_whole``, which others read meanwhile: at every moment the old or the new one is there.

    A process that is killed meanwhile may leave a file that the next one removes.
    """
    _write_renamed(path, data, mode)


def _write_nameless(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path.parent, _NAMELESS | os.O_WRONLY | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path.unlink(missing_ok=True)
            os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)


def _write_renamed(path: Path, data: bytes, mode: int) -> None:
    new = path.with_name(f".{path.name}.part")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _is_own(found: os.stat_result) -> bool:
    """Whether it is a plain file with one name, or none any more."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink <= 1


def _kind(mode: int) -> str:
    """What stands there, for a message."""
    if stat.S_ISREG(mode):
        return "a file or a second name of one"
    return "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
