"""What the adapter uses of aiortc's and aioice's inside is there, and nothing else is used of the adapter.

When a test fails after an update of aiortc, read ``owtmix/recorder/rtp/{transport,receiver,ice,install}.py`` against
the new version.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from types import ModuleType
from typing import Any, Final

import aioice.ice
import aiortc
import pytest
from aiortc import rtcdtlstransport, rtcicetransport, rtcpeerconnection, rtcrtptransceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpreceiver import RTCRtpReceiver

from owtmix.recorder.rtp.ice import BoundConnection
from owtmix.recorder.rtp.receiver import EncodedReceiver
from owtmix.recorder.rtp.transport import BoundedSrtp, RecordingTransport

VERSION: Final = "1.16.0"


def test_the_version_is_the_one_that_was_read() -> None:
    assert aiortc.__version__ == VERSION


@pytest.mark.parametrize(
    ("module", "call"),
    [
        (rtcpeerconnection, "RTCRtpReceiver(kind, dtlsTransport)"),
        (rtcpeerconnection, "RTCDtlsTransport(iceTransport, self.__certificates)"),
        (rtcicetransport, "Connection("),
    ],
)
def test_what_is_replaced_is_made_by_its_name_in_one_place(module: ModuleType, call: str) -> None:
    assert inspect.getsource(module).count(call) == 1


def used_of_receivers(module: ModuleType) -> set[str]:
    """Attributes of whatever is called a receiver."""
    names = {"receiver", "_RTCRtpTransceiver__receiver", "__receiver", "recipient"}
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", None)
            if name in names:
                found.add(node.attr)
    return found


@pytest.mark.parametrize("module", [rtcpeerconnection, rtcrtptransceiver, rtcdtlstransport])
def test_a_receiver_has_what_is_used_of_it(module: ModuleType) -> None:
    used = used_of_receivers(module)
    assert used
    assert used <= set(dir(EncodedReceiver)) | {"_enabled", "_track"}


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (
            RecordingTransport,
            RTCDtlsTransport,
            (
                "_setup_srtp",
                "_register_rtp_receiver",
                "_unregister_rtp_receiver",
                "_handle_rtp_data",
                "_handle_rtcp_data",
                "stop",
            ),
        ),
        (BoundConnection, aioice.ice.Connection, ("get_component_candidates", "data_received")),
        (EncodedReceiver, RTCRtpReceiver, ("receive", "stop", "setTransport", "_set_rtcp_ssrc", "_handle_disconnect")),
    ],
)
def test_what_is_replaced_has_the_same_parameters(ours: type, theirs: type, names: tuple[str, ...]) -> None:
    for name in names:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert list(inspect.signature(mine).parameters) == list(inspect.signature(other).parameters), name
        assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(other), name


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        (RTCDtlsTransport._recv_next, "self._rx_srtp.unprotect_rtcp(data)"),
        (RTCDtlsTransport._recv_next, "self._rx_srtp.unprotect(data)"),
        (RTCDtlsTransport._recv_next, "except pylibsrtp.Error"),
        (RTCDtlsTransport._recv_next, "await self._handle_rtp_data(data, arrival_time_ms=arrival_time_ms)"),
        (RTCDtlsTransport._recv_next, "await self._handle_rtcp_data(data)"),
        (RTCDtlsTransport.start, "self._setup_srtp()"),
        (aioice.ice.Connection, "self._protocols += host_protocols"),
        (aioice.ice.Connection, "self._queue.put_nowait((data, component))"),
        (aioice.ice.StunProtocol, "self.receiver.data_received("),
        (rtcicetransport.RTCIceTransport, "self._connection = gatherer._connection"),
        (rtcpeerconnection, "codecs=transceiver._codecs"),
        (rtcpeerconnection, "if c.payloadType in rtp.DYNAMIC_PAYLOAD_TYPES:"),
    ],
)
def test_what_the_adapter_counts_on_is_done(owner: Any, words: str) -> None:
    assert words in inspect.getsource(owner)


def test_the_bound_of_senders_has_what_is_used_of_the_session() -> None:
    source = inspect.getsource(RTCDtlsTransport)
    used = {line.split("self._rx_srtp.")[1].split("(")[0] for line in source.splitlines() if "self._rx_srtp." in line}
    assert used <= set(dir(BoundedSrtp))


UNANSWERED: Final = """
import asyncio
import aioice.ice, aioice.stun
from aiortc import rtcicetransport
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import install

async def main():
    ends = [rtcicetransport.Connection(ice_controlling=controlling) for controlling in (True, False)]
    for end in ends:
        await end.gather_candidates()
    for end, other in (ends, ends[::-1]):
        for candidate in [*other.local_candidates, None]:
            await end.add_remote_candidate(candidate)
        end.remote_username, end.remote_password = other.local_username, other.local_password
    await asyncio.gather(*(end.connect() for end in ends))
    ends[1].request_received = lambda *_: None
    await asyncio.sleep(2)
    print(ends[0]._query_consent_task is not None)

install(IceSettings(("127.0.0.1",)))
aioice.ice.CONSENT_INTERVAL = aioice.stun.RETRY_RTO = 0.01
asyncio.run(main())
"""


def test_who_does_not_answer_in_time_stays_connected() -> None:
    """On a busy machine all sessions ended half a minute after they had begun, while their media came."""
    done = subprocess.run([sys.executable, "-c", UNANSWERED], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"
