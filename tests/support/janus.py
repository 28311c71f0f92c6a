"""Debian's Janus with one room of its VideoRoom, and publishers in it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from owtmix.demo.publisher import Publisher
from tests.support.isolated_network import ADDRESS

JANUS: Final = shutil.which("janus")
NO_JANUS: Final = "no janus: make live-packages installs it"
ROOM: Final = 1234
URL: Final = "ws://127.0.0.1:8188"
"""In a network of its own any port is free."""

_LIBRARIES: Final = Path("/usr/lib/x86_64-linux-gnu/janus")
_ANSWER_S: Final = 20.0
_KEPT: Final = {"libjanus_videoroom.so", "libjanus_websockets.so"}
_FILES: Final = {
    "janus.plugin.videoroom.jcfg": f"""
room-{ROOM}: {{
  publishers = 8
  bitrate = 1500000
  audiocodec = "opus"
  videocodec = "vp8,h264"
}}
""",
    "janus.transport.websockets.jcfg": """
general: { json = "compact" ws = true ws_port = 8188 ws_ip = "127.0.0.1" wss = false }
admin: { admin_ws = false }
""",
}


@contextmanager
def running_janus(folder: Path) -> Iterator[None]:
    """A Janus, in an own network (``isolated_network``)."""
    assert JANUS
    folder.mkdir()
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    (folder / "janus.jcfg").write_text(_config(folder))
    with (folder / "log").open("wb") as log:
        command = [JANUS, "-F", str(folder), "-C", str(folder / "janus.jcfg")]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield
            finally:
                process.kill()


@asynccontextmanager
async def publishing(display: str, publisher: Publisher) -> AsyncIterator[None]:
    """Have ``publisher`` in the room, as somebody called ``display``."""
    async with connect(URL, subprotocols=[Subprotocol("janus-protocol")], proxy=None) as socket:
        session = (await _ask(socket, janus="create"))["data"]["id"]
        attached = await _ask(socket, janus="attach", session_id=session, plugin="janus.plugin.videoroom")
        place = {"janus": "message", "session_id": session, "handle_id": attached["data"]["id"]}
        join = {"request": "join", "ptype": "publisher", "room": ROOM, "display": display}
        await _ask(socket, **place, body=join)

        async def exchange(offer: str) -> str:
            jsep = {"type": "offer", "sdp": offer}
            answer = await _ask(socket, **place, body={"request": "publish"}, jsep=jsep)
            return str(answer["jsep"]["sdp"])

        await publisher.connect(exchange)
        try:
            yield
        finally:
            await publisher.close()
            await _ask(socket, **place, body={"request": "leave"})


async def until_running() -> None:
    """Wait until Janus answers."""
    async with asyncio.timeout(_ANSWER_S):
        while True:
            try:
                async with connect(URL, subprotocols=[Subprotocol("janus-protocol")], proxy=None):
                    return
            except OSError:
                await asyncio.sleep(0.1)


async def _ask(socket: ClientConnection, **request: Any) -> dict[str, Any]:
    """The answer to a request; what else comes meanwhile is of no interest."""
    request["transaction"] = uuid.uuid4().hex
    await socket.send(json.dumps(request))
    async with asyncio.timeout(_ANSWER_S):
        while True:
            answer: dict[str, Any] = json.loads(await socket.recv())
            if answer.get("transaction") == request["transaction"] and answer["janus"] != "ack":
                assert answer["janus"] != "error", answer
                assert "error" not in answer.get("plugindata", {}).get("data", {}), answer
                return answer


def _config(folder: Path) -> str:
    """Only what is needed; the rest of Debian's plugins and transports is left out."""

    def others(kind: str) -> str:
        return ",".join(sorted({path.name for path in (_LIBRARIES / kind).glob("*.so")} - _KEPT))

    return f"""
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{_LIBRARIES}/plugins"
  transports_folder = "{_LIBRARIES}/transports"
  events_folder = "{folder}"
  loggers_folder = "{folder}"
  interface = "{ADDRESS}"
  debug_level = 4
}}
media: {{ rtp_port_range = "20000-20200" }}
nat: {{ ice_enforce_list = "{ADDRESS}" }}
plugins: {{ disable = "{others("plugins")}" }}
transports: {{ disable = "{others("transports")}" }}
"""
