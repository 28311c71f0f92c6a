"""Ways in which somebody changes a file while others read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    """Other bytes of the same number, with the time of before."""
    state = path.stat()
    with path.open("r+b") as file:
        file.seek(state.st_size // 2)
        file.write(os.urandom(state.st_size - state.st_size // 2))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def replace(path: Path) -> None:
    """Another file of the same size and time."""
    state, other = path.stat(), path.with_name(f"other-{path.name}")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


CHANGES: Final[Mapping[str, Callable[[Path], None]]] = {
    "truncated": truncate,
    "overwritten": overwrite,
    "replaced": replace,
    "grown": grow,
    "removed": Path.unlink,
}
