"""How a connection of RTMP begins (Adobe's RTMP specification 1.0, section 5.2), as a client does it.

It sends ``hello``, reads ``HELLO_BYTES``, sends their ``echo``, and reads ``ECHO_BYTES``.
"""

from __future__ import annotations

import os
from typing import Final

from owtmix.rtmp.chunks import ProtocolError

ECHO_BYTES: Final = 1536
HELLO_BYTES: Final = 1 + ECHO_BYTES

_VERSION: Final = 3


def hello() -> bytes:
    """The version, and what the other side echoes."""
    return bytes([_VERSION]) + bytes(8) + os.urandom(ECHO_BYTES - 8)


def echo(answer: bytes) -> bytes:
    """What is sent back to the server's hello.

    Raises:
        ProtocolError: it is of another version, or no RTMP.
    """
    if answer[0] != _VERSION:
        raise ProtocolError("a server of another version of RTMP")
    return answer[1:]
