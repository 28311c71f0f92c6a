"""Threads that talk to a store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

HANDS: Final = 4
"""What a store is asked for at the same time."""


@contextmanager
def hands(name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads for the block; at its end nobody waits for them, since a store may be silent for long."""
    pool = ThreadPoolExecutor(HANDS, name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
