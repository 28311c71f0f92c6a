"""What a pusher tells who started it: a line of JSON on standard output for each change of its state."""

from __future__ import annotations

import json
import os
import select
from contextlib import suppress
from typing import Final

_STDOUT: Final = 1
_MOST_LINE_BYTES: Final = select.PIPE_BUF


class Teller:
    """Tells states. Whoever does not read them holds nobody up, and hears the newest one later."""

    def __init__(self, file: int = _STDOUT) -> None:
        self._file = file
        self._told: dict[str, object] = {}
        self._waiting = b""
        self._poll = select.poll()
        self._poll.register(file, select.POLLOUT)

    def tell(self, state: str, **more: object) -> None:
        """Tell a state, unless it has nothing to say and is the last one that was told."""
        told = {"state": state, **more}
        if more or told != self._told:
            self._told = told
            self._waiting = json.dumps(told).encode()[: _MOST_LINE_BYTES - 1] + b"\n"
        self.flush()

    @property
    def state(self) -> object:
        """The last one that was told."""
        return self._told.get("state")

    def flush(self) -> None:
        """Write what could not be written before, if it can be now."""
        events = self._events()
        if self._waiting and events & select.POLLOUT and not events & select.POLLERR:
            with suppress(OSError):
                os.write(self._file, self._waiting)
                self._waiting = b""

    @property
    def is_alone(self) -> bool:
        """Whether nobody can read it any more."""
        return bool(self._events() & (select.POLLERR | select.POLLNVAL))

    def _events(self) -> int:
        return next((events for _, events in self._poll.poll(0)), 0)
