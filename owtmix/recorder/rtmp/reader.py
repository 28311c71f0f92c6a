"""The process that reads one stream of RTMP: ``python -m owtmix.recorder.rtmp.reader PARENT``.

Standard input is a connection to the server, standard output takes records. What to play is in the environment. Before
it reads a byte it confines itself as far as the kernel allows: it can open no other connection and no file, and start
nothing. The exit status is ``STATUS_OVER`` or 1; standard error says why.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

from owtmix.recorder.rtmp.media import MediaError, MediaReader
from owtmix.recorder.rtmp.player import Player
from owtmix.recorder.rtmp.records import to_bytes
from owtmix.rtmp.chunks import ProtocolError
from owtmix.workers.file_access import FileAccess
from owtmix.workers.sandbox import confine

STATUS_OVER: Final = 3
"""The publisher has left."""
APP: Final = "OWT_RTMP_APP"
NAME: Final = "OWT_RTMP_NAME"
URL: Final = "OWT_RTMP_URL"
REQUIRED: Final = "OWT_RTMP_REQUIRED"
"""Variables of the environment: an argument could be seen by all users of the machine. The last one, which may be
missing, has the layers of confinement without which nothing is read, with commas.
"""

_MEMORY_BYTES: Final = 256 << 20
_BUFFER_BYTES: Final = 1 << 16
_MOST_TOLD: Final = 8
"""Kinds of damage that are told, each once."""


def main(parent: int) -> int:
    """Read until the publisher leaves. Returns the exit status."""
    place = [os.environ[name] for name in (APP, NAME, URL)]
    required = set(filter(None, os.environ.get(REQUIRED, "").split(",")))
    if missing := required.difference(confine(parent, FileAccess(), 0)):
        _say(f"not confined by {', '.join(sorted(missing))}, as limits.require_confinement demands")
        return 1
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    media = MediaReader()
    told: set[str] = set()
    # Reading and writing a socket needs none of the calls for sockets, which the confinement forbids.
    with os.fdopen(0, "rb", _BUFFER_BYTES) as received:

        def read(size: int) -> bytes:
            data = received.read(size)
            if len(data) < size:
                raise ProtocolError("the server ended the connection")
            return data

        try:
            for message in Player(read, lambda data: _write(0, data)).play(*place):
                try:
                    for record in media.records(message):
                        _write(1, to_bytes(record))
                except MediaError as error:
                    if str(error) not in told and len(told) < _MOST_TOLD:
                        told.add(str(error))
                        _say(str(error))
        except (ProtocolError, OSError, MemoryError) as error:
            _say(str(error) or type(error).__name__)
            return 1
    return STATUS_OVER


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _say(words: str) -> None:
    sys.stderr.write(f"RTMP: {words}\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
