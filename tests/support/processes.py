"""The processes of a run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from owtmix.workers.fork_server import WORKER_NAME


def descendants(pid: int) -> list[int]:
    """The children of a process, theirs, and so on; some may have ended meanwhile."""
    found = []
    with suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()):
            found += [child, *descendants(child)]
    return found


def workers(pid: int) -> list[int]:
    """The workers of a run."""
    return [child for child in descendants(pid) if is_worker(child)]


def started_by(pid: int) -> list[int]:
    """The workers of a run, and what starts them."""
    found = []
    for child in descendants(pid):
        with suppress(OSError):
            if b"owtmix.workers.fork_server" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def is_worker(pid: int) -> bool:
    """Whether a process is a worker."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == WORKER_NAME
    return False
