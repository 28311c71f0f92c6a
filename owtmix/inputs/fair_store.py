"""Blames an object that cannot be had, or the store: one bad object is left out, a store that is down fails the job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from owtmix.base.errors import InputError, StoreError
from owtmix.storage import LocalCopy, Store

T = TypeVar("T")

MOST_UNANSWERED: Final = 8
"""So many objects in a row without any answer are enough: waiting for each of thousands would take hours."""
MOST_SILENT: Final = 16
"""The same for a store that answered before, and still answers for what it gave then."""


class FairStore:
    """Reads objects of ``store``. Every method may be called from any thread.

    When one cannot be had, an object that the store gave before is asked for: if the store answers, the object is at
    fault, and an ``InputError`` says why; otherwise the store is, with a ``StoreError``. Before the store has given
    anything, objects are at fault until ``check_answered`` is called. The store is also at fault when nothing that it
    is asked for is answered any more: each has to be waited for.

    Args:
        store: the store.
        folder: for ``Store.locate``.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        self._answered: list[str] = []
        self._unanswered = 0
        self._unanswered_parts = 0
        self._first_error: StoreError | None = None

    def note_answer(self, key: str) -> None:
        """Remember that the store has answered when it was asked for ``key``."""
        with self._lock:
            self._answered[1:] = [key]  # the first one and the latest are remembered
            self._unanswered = 0

    def check_answered(self) -> None:
        """Check that the store has given or denied the existence of anything.

        Raises:
            StoreError: it has refused all that it was asked for.
        """
        with self._lock:
            if self._first_error and not self._answered:
                raise self._first_error

    def read(self, key: str, max_bytes: int) -> bytes | None:
        """As ``Store.read``."""
        return self._judged(key, lambda: self._store.read(key, max_bytes))

    def locate(self, key: str, folder: Path) -> LocalCopy:
        """As ``Store.locate``."""
        return self._judged(key, lambda: self._store.locate(key, folder))

    def read_part(self, key: str, copy: LocalCopy, start: int, length: int) -> bytes | None:
        """As ``Store.read_part``; None also when the part cannot be had: fetching the whole object tells why.

        When no part comes any more, none is waited for.
        """
        if self._unanswered_parts >= MOST_UNANSWERED:
            return None
        try:
            found = self._store.read_part(key, copy, start, length)
        except StoreError as error:
            with self._lock:
                self._unanswered_parts += not error.is_refusal
            return None
        self._unanswered_parts = 0
        return found

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        """As ``Store.fetch``."""
        self._judged(key, lambda: self._store.fetch(key, copy, on_progress))

    def _judged(self, key: str, ask: Callable[[], T]) -> T:
        try:
            found = ask()
        except StoreError as error:
            self._check_store(error)
            raise InputError(error.of_object) from None
        except InputError:
            self.note_answer(key)
            raise
        self.note_answer(key)
        return found

    def _check_store(self, error: StoreError) -> None:
        """Check that the store answers at all, after ``error``.

        Raises:
            StoreError: it does not.
        """
        with self._lock:
            self._first_error = self._first_error or error
            self._unanswered += not error.is_refusal
            answered, unanswered = list(self._answered), self._unanswered
        if unanswered >= (MOST_SILENT if answered else MOST_UNANSWERED):
            raise error
        if answered and not any(map(self._answers, answered)):
            raise error

    def _answers(self, key: str) -> bool:
        try:
            self._store.locate(key, self._folder)
        except StoreError:
            return False
        except InputError:  # it has been deleted meanwhile, says the store
            return True
        return True
