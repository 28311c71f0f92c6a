"""How far the receivers of a run got: of each URL the last message that was delivered or dropped, and what was left.

It is kept in the file ``settled``, of which each line says that the message at a place is done (``+``) or that it was
left while later ones were sent (``-``). Messages for one URL are sent in order, so everything up to the last line of
the URL is done except what was left. A line that was cut off by a crash is ignored: its message is sent again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from owtmix.base.own_files import own_file, read_own
from owtmix.notify.message import Place

FILE: Final = "settled"
START: Final = Place(0, 0, -1)
"""Before every message."""

_LINE: Final = re.compile(rb"([+-])(\d{1,9})\.(\d{1,9})\.(\d{1,9});")
MOST_BYTES: Final = 64 << 20
"""A longer file is not one of this program: its messages are sent again."""


@dataclass(slots=True)
class UrlProgress:
    """Everything up to ``last`` is done except what was ``left``.

    After a failure to write that a message was left nothing more is ``written``: later lines would say that it is done.
    """

    last: Place = START
    left: set[Place] = field(default_factory=set)
    written: bool = True

    def take(self, place: Place, *, done: bool) -> None:
        """The message at ``place`` is done, or was left."""
        self.last = max(self.last, place)
        if done:
            self.left.discard(place)
        else:
            self.left.add(place)


class Settled:
    """The progress of each URL of a run; ``url_at`` gives the URL of a message, or None where there is none."""

    def __init__(self, folder: Path, url_at: Callable[[Place], str | None]) -> None:
        self._file = folder / FILE
        self._urls: dict[str, UrlProgress] = {}
        for done, place in _lines(self._file):
            if (url := url_at(place)) is not None:
                self.of(url).take(place, done=done)

    def of(self, url: str) -> UrlProgress:
        return self._urls.setdefault(url, UrlProgress())

    def write(self, url: str, place: Place, *, done: bool) -> None:
        """Append a line. Where that fails, a later run sends the message again: delivery is at least once."""
        progress = self.of(url)
        if not progress.written:
            return
        line = f"\n{'+' if done else '-'}{place.batch}.{place.event}.{place.receiver};".encode()
        try:
            descriptor = own_file(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError:
            progress.written = done


def _lines(path: Path) -> Iterator[tuple[bool, Place]]:
    with suppress(OSError):
        for line in read_own(path, MOST_BYTES).split(b"\n"):
            if found := _LINE.fullmatch(line):
                yield found[1] == b"+", Place(*map(int, found.groups()[1:]))
