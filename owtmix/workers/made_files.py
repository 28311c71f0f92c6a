"""The files that tasks make, looked at by the parent before anything is done with them."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from owtmix.base.own_files import own_file, remove

_BLOCK_BYTES: Final = 1 << 20


def size_of_made(path: Path) -> int | None:
    """The size of a file that a task has made, in bytes; None when its whole folder is gone, which is no task's fault.

    Raises:
        ValueError: it is not there, or not a plain file with one name.
    """
    try:
        found = path.lstat()
    except OSError:
        if not path.parent.is_dir():
            return None
        raise ValueError("comes without its file") from None
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise ValueError("comes with something else than a file")
    return found.st_size


def check_made(path: Path, most_bytes: int) -> None:
    """Check that a task has made a file of at most ``most_bytes``.

    Raises:
        ValueError: it has not.
    """
    size_bytes = size_of_made(path)
    if size_bytes is not None and not 0 < size_bytes <= most_bytes:
        raise ValueError(f"comes with a file of {size_bytes:,} bytes")


def take_made(made: Path, path: Path, most_bytes: int) -> str:
    """Move a file that a task has made to ``path``; when this returns, it is on the disk.

    It is copied into a file that no worker holds open: one that was taken over may go on writing into what it made, or
    others did, while it is copied as well.

    Returns:
        The digest of what was copied, in hex.

    Raises:
        ValueError: it has more than ``most_bytes`` by now; nothing is left of it.
        OSError: it cannot be copied.
    """
    digest, left = hashlib.blake2b(), most_bytes
    remove(path)
    with open(made, "rb", opener=own_file) as source, open(path, "xb", opener=own_file) as file:
        while block := source.read(min(_BLOCK_BYTES, left + 1)):
            if (left := left - len(block)) < 0:
                break
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    made.unlink()
    if left < 0:
        remove(path)
        raise ValueError(f"left a file of more than {most_bytes:,} bytes")
    return digest.hexdigest()
