"""``python -m tests.support.replay CLIP SECONDS WHIP...``: sends a clip to each address, in a process of its own.

It prints how many packets each track sent of the clip, as JSON, after all sessions have ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from owtmix.demo.publisher import read_clip
from tests.support.participant import Participant

ON_THE_WAY_S: Final = 1.5
"""After the last packet: those that were lost are asked for again for a second."""
_BEGUN_EACH_S: Final = 0.1


async def replay(path: Path, seconds: float, addresses: list[str]) -> dict[str, dict[str, int]]:
    """The number of packets sent, by stream and kind."""
    clip = read_clip(path)
    senders = [Participant(address, clip) for address in addresses]
    for sender in senders:
        await sender.join()
        await asyncio.sleep(_BEGUN_EACH_S)
    await asyncio.sleep(seconds)
    for sender in senders:
        sender.pause()
    await asyncio.sleep(ON_THE_WAY_S)
    await asyncio.gather(*(sender.leave() for sender in senders))
    return {sender.stream: {track.kind: track.sent for track in sender.tracks} for sender in senders}


if __name__ == "__main__":
    _path, _seconds, *_addresses = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(replay(Path(_path), float(_seconds), _addresses))))
