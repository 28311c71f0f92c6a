"""What the process that receives a room is told when it starts: ``room.json`` in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from owtmix.base.ids import JOB_ID_PATTERN, is_job_id
from owtmix.recorder.subscription import Subscription

OPTIONS_FILE: Final = "room.json"
JOURNALS: Final = "journals"
"""Folder of the journals, in the room's."""
MAX_OPTIONS_BYTES: Final = 4 << 20

_KEY_RANGE_S: Final = (1.0, 60.0)
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class JanusRoom:
    """A room of Janus's VideoRoom, which is joined as a silent subscriber. ``url`` begins with ``ws://``/``wss://``."""

    url: str
    room: int


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """See the module.

    Attributes:
        job_id: The job that records.
        app_id: Whose room it is.
        room_id: The room.
        media_channel: 1 sound, 2 picture, 3 both: ``MediaChannel`` of the document.
        subscribe: ``SubscribeConfig`` of the document.
        ice_addresses: Addresses of this machine that media comes to; all but loopback without any.
        ice_ports: First and last UDP port that media comes to; None for any.
        key_every_s: A key frame is asked for this often.
        silence_s: A session without packets for so long has left.
        connect_s: A session that has not connected for so long never will.
        max_sessions: Sessions at a time; one more is refused.
        orphan_s: The process ends when no server has been connected to it for so long.
        janus: A room of Janus to record, too.
        require_confinement: Layers (docs/security.md) without which no process reads a stream of RTMP.
        rtmp: Where streams of RTMP are fetched, such as ``rtmp://127.0.0.1:1935/live``; empty for nowhere.
    """

    job_id: str
    app_id: str
    room_id: str
    media_channel: int = 3
    subscribe: Mapping[str, Any] = field(default_factory=dict)
    ice_addresses: tuple[str, ...] = ()
    ice_ports: tuple[int, int] | None = None
    key_every_s: float = 5.0
    silence_s: float = 5.0
    connect_s: float = 20.0
    max_sessions: int = 64
    orphan_s: float = 3600.0
    janus: JanusRoom | None = None
    rtmp: str = ""
    require_confinement: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ``ValueError`` where a value is wrong; the message says which and what is accepted."""
        if not is_job_id(self.job_id):
            raise ValueError(f"job_id: accepted is {JOB_ID_PATTERN}")
        least, most = _KEY_RANGE_S
        if not least <= self.key_every_s <= most:
            raise ValueError(f"key_every_s: accepted are {least:g} to {most:g} seconds")
        if min(self.silence_s, self.connect_s, self.orphan_s, self.max_sessions) <= 0:
            raise ValueError("silence_s, connect_s, orphan_s and max_sessions are above 0")
        if self.ice_ports and not 0 < self.ice_ports[0] <= self.ice_ports[1] <= _LAST_PORT:
            raise ValueError(f"ice_ports: accepted are two ports from 1 to {_LAST_PORT}, the lower one first")
        self.subscription()

    def subscription(self) -> Subscription:
        """What is recorded."""
        return Subscription.from_json(self.media_channel, self.subscribe)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Raises ``ValueError`` where ``data`` has not these options."""
        try:
            values = json.loads(data)
            janus, ports = values.get("janus"), values.get("ice_ports")
            values["janus"] = JanusRoom(**janus) if janus else None
            values["ice_ports"] = (int(ports[0]), int(ports[1])) if ports else None
            for name in ("ice_addresses", "require_confinement"):
                values[name] = tuple(map(str, values.get(name, ())))
            return cls(**values)
        except (TypeError, AttributeError, LookupError, RecursionError) as error:
            raise ValueError(f"these are no options of a room ({type(error).__name__})") from None
