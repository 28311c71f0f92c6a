"""The compiled kernel, kept in a folder: the check of a GPU compiles it, and workers load what it left.

A file is named by all that decides its content, and begins with a digest of name and content: one that was cut, damaged
or put in another's place is noticed, and the kernel compiled again. Workers only read the folder; who writes what all
run has read no recording.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from owtmix.base.own_files import make_folder, read_own, write_whole

MOST_BYTES: Final = 512 << 10
"""Of a compiled kernel; that of one frame has 31 KiB."""
KEPT: Final = 16
"""The most kernels in the folder: one for each kind of GPU, and those of the last updates."""
_SUFFIX: Final = ".kernel"
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_DIGEST_BYTES: Final = 32

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel by its ``name``; ``code`` is its content in base64, empty where it was found in the folder."""

    name: str
    code: str = ""

    def check(self) -> None:
        """Check what a worker says that it compiled.

        Raises:
            ValueError: it is none; the message completes "its result ...".
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError("names a kernel as none is named")
        try:
            size = len(base64.b64decode(self.code, validate=True))
        except (binascii.Error, ValueError):
            raise ValueError("has a kernel that is none") from None
        if size > MOST_BYTES:
            raise ValueError(f"has a kernel of {size:,} bytes")


def find_kernel(folder: Path, name: str) -> bytes | None:
    """The content of a kernel; None where there is none, or not the one of that name."""
    try:
        found = read_own(_path(folder, name), _DIGEST_BYTES + MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.debug("the kernel that was kept cannot be read: %s", error)
        return None
    digest, code = found[:_DIGEST_BYTES], found[_DIGEST_BYTES:]
    if digest == _digest(name, code):
        return code
    _log.debug("the kernel that was kept is damaged, and compiled again")
    return None


def keep_kernel(folder: Path, kernel: Kernel) -> None:
    """Keep a kernel that was compiled, or note that it was used; remove those not used for longest.

    A disk that takes no more is not an error.
    """
    path = _path(folder, kernel.name)
    try:
        if not kernel.code:
            os.utime(path)
            return
        make_folder(folder)
        code = base64.b64decode(kernel.code)
        write_whole(path, _digest(kernel.name, code) + code)
        _remove_old(folder)
    except OSError as error:
        _log.debug("the compiled kernel is not kept: %s", error)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}{_SUFFIX}"


def _digest(name: str, code: bytes) -> bytes:
    return hashlib.sha256(name.encode() + code).digest()


def _remove_old(folder: Path) -> None:
    kernels = [path for path in folder.iterdir() if path.suffix == _SUFFIX]
    used = {path: path.lstat().st_mtime_ns for path in kernels}
    for path in sorted(kernels, key=used.__getitem__, reverse=True)[KEPT:]:
        with suppress(FileNotFoundError):
            path.unlink()
