"""Pushes a live mix to a server of RTMP: ``python -m owtmix.live.push FOLDER``.

The mix is in segments in ``FOLDER/flv`` (``segments``). One line of JSON is read from standard input:
``{"url": "rtmp://host/app/name?token"}``, and with ``"description"`` also what the stream is said to be, such as
``{"width": 1280, "height": 720, "framerate": 15}``. The address is a secret. Each change of the state is a line of JSON
on standard output: ``living``; ``retrying`` and ``refused`` with ``reason`` and ``pause_s``; ``slow`` with
``dropped_s``, all seconds since the start; ``ended``.

It connects again for ever, with growing pauses, until ``flv/end`` is there, SIGTERM comes, or nobody reads its standard
output any more. The exit status is 0 then, 2 when the line is wrong, 1 when the settings are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from owtmix.base.errors import MixError
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.live.publisher import Description
from owtmix.live.pusher import Pusher
from owtmix.live.target import AddressError, Target
from owtmix.live.teller import Teller
from owtmix.net.addresses import Network
from owtmix.workers.process_flags import protect_memory

_LONGEST_LINE: Final = 1 << 16
_DESCRIBED: Final = frozenset(
    {"width", "height", "framerate", "videodatarate", "audiodatarate", "audiosamplerate", "audiosamplesize", "stereo"}
)
_ALWAYS: Final[Description] = {"videocodecid": 7.0, "audiocodecid": 10.0, "encoder": "owtmix"}
_STATUS_LINE: Final = 2


@dataclass(frozen=True)
class Order:
    """What standard input says."""

    target: Target
    description: Description

    @classmethod
    def from_json(cls, line: bytes) -> Order:
        """Read the line.

        Raises:
            AddressError: it is wrong. Neither the error nor its context has a part of it.
        """
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("url"), str):
            raise AddressError("standard input is one line of JSON with the address of a target, url")
        described = found.get("description", {})
        if not isinstance(described, dict) or not all(
            name in _DESCRIBED and isinstance(value, int | float) for name, value in described.items()
        ):
            raise AddressError(f"description has numbers for {', '.join(sorted(_DESCRIBED))}")
        numbers = {name: value if isinstance(value, bool) else float(value) for name, value in described.items()}
        return cls(Target.parse(found["url"]), {**_ALWAYS, **numbers})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status."""
    protect_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until there is something to end
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser("python -m owtmix.live.push", description="Push a live mix to a server of RTMP.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the mix")
    folder = parser.parse_args(arguments).folder
    teller = Teller()
    try:
        order = Order.from_json(sys.stdin.buffer.readline(_LONGEST_LINE))
        allowed = read_settings(settings_file()).network.allow
    except AddressError as error:
        teller.tell("refused", reason=str(error))
        teller.tell("ended")
        return _STATUS_LINE
    except MixError as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return error.exit_status
    return asyncio.run(_push(order, folder, allowed, teller), debug=False)


async def _push(order: Order, folder: Path, allowed: Sequence[Network], teller: Teller) -> int:
    pusher = Pusher(order.target, order.description, folder, allowed, teller)
    loop = asyncio.get_running_loop()
    for told in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(told, pusher.stop)
    # What libraries say of errors may hold an address.
    loop.set_exception_handler(lambda _loop, context: _say(context.get("exception")))
    await pusher.run()
    return 0


def _say(error: object) -> None:
    """Say where an unexpected error happened, without its message, which may hold an address."""
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
        sys.stderr.write(f"ERROR: {type(error).__name__} at {places}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as unexpected:  # noqa: BLE001 - its message is not shown
        _say(unexpected)
        sys.exit(1)
