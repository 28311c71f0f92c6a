"""An SDP offer is checked before anything is done for it: what is wrong with it is said in words."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription

from owtmix.recorder.rtp.ice import IceSettings, local_addresses
from owtmix.recorder.rtp.install import prefer_redundant
from owtmix.recorder.rtp.receiver import EncodedReceiver

MAX_SDP_BYTES: Final = 64 << 10
MAX_SDP_LINES: Final = 1000
"""A browser's offer of sound and picture has about 8,000 bytes and 250 lines."""
MAX_CANDIDATES: Final = 32
"""Addresses that an offer may name for each of its sections: each is sent something."""

_CODECS: Final = {"audio": "Opus", "video": "H.264 (packetization-mode 1) or VP8"}
_DISCARD_PORT: Final = 9
_CANDIDATE: Final = re.compile(r"a=candidate:\S+ \d+ (?P<transport>\S+) \d+ (?P<host>\S+) (?P<port>\d{1,5}) ")


class OfferError(Exception):
    """An offer is not accepted. The message never has anything of the offer; ``status`` is as of HTTP."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def answer_offer(connection: RTCPeerConnection, sdp: str, ice: IceSettings) -> list[EncodedReceiver]:
    """Make ``connection`` take the offer, and give the receivers of what it sends; the answer is not made yet.

    Raises:
        OfferError: It is too large, no offer, or one of something that is not recorded.
    """
    text = usable_offer(sdp, ice)
    try:
        await connection.setRemoteDescription(RTCSessionDescription(text, "offer"))
    except Exception:  # noqa: BLE001 - whatever aiortc stumbles over, it is the offer's
        raise OfferError("the offer cannot be used") from None
    receivers = []
    for transceiver in connection.getTransceivers():
        receiver: object = transceiver.receiver
        assert isinstance(receiver, EncodedReceiver)
        prefer_redundant(transceiver._codecs)  # noqa: SLF001 - aiortc has no way to prefer a codec's parameters
        receivers.append(receiver)
    return receivers


def usable_offer(sdp: str, ice: IceSettings) -> str:
    """The offer without candidates that cannot be used.

    Raises:
        OfferError: as ``answer_offer``.
    """
    if len(sdp) > MAX_SDP_BYTES or len(sdp.encode(errors="replace")) > MAX_SDP_BYTES:
        raise OfferError(f"an offer of more than {MAX_SDP_BYTES:,} bytes is not read")
    lines = sdp.splitlines()
    if len(lines) > MAX_SDP_LINES:
        raise OfferError(f"an offer of more than {MAX_SDP_LINES:,} lines is not read")
    text = "\r\n".join(_with_usable_candidates(lines, ice)) + "\r\n"
    try:
        found = SessionDescription.parse(text)
    except Exception:  # noqa: BLE001 - aiortc's parser raises all kinds of errors
        raise OfferError("this is no SDP offer") from None
    _check(found)
    return text


def _check(found: SessionDescription) -> None:
    kinds = [media.kind for media in found.media]
    if not kinds or not set(kinds) <= set(_CODECS):
        raise OfferError("an offer has sections of audio and video, and no others")
    if len(kinds) > len(set(kinds)):
        raise OfferError("an offer has at most one section of audio and one of video")
    for media in found.media:
        if media.direction not in {"sendonly", "sendrecv", None}:
            raise OfferError(f"the section of {media.kind} sends nothing")
        accepted = _CODECS[media.kind]
        names = {codec.name.lower() for codec in media.rtp.codecs}
        if not names & ({"opus"} if media.kind == "audio" else {"h264", "vp8"}):
            raise OfferError(f"the section of {media.kind} has no usable codec; accepted: {accepted}")
        ice = media.ice
        if not media.dtls or not media.dtls.fingerprints or not ice or not ice.usernameFragment or not ice.password:
            raise OfferError("a section has no credentials of ICE or DTLS")
        if not media.rtcp_mux:
            raise OfferError("a section has no rtcp-mux")


def _with_usable_candidates(lines: list[str], ice: IceSettings) -> list[str]:
    """Without names, which browsers hide their addresses behind and only they know, and without TCP.

    A section without any candidate has one of this machine that nobody answers at: aioice gives up at once without,
    and a browser's own checks would come too late.
    """
    head, *sections = _sections(lines)
    kept = list(head)
    nobody = [
        f"a=candidate:0 1 udp 1 {address} {_DISCARD_PORT} typ host" for address in sorted(local_addresses(ice))[:2]
    ]
    for section in sections:
        usable = [line for line in section if _is_usable(line)][:MAX_CANDIDATES]
        kept += [line for line in section if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
        kept += usable or nobody
    return kept


def _sections(lines: list[str]) -> list[list[str]]:
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    return sections


def _is_usable(line: str) -> bool:
    found = _CANDIDATE.match(line)
    if not found or found["transport"].lower() != "udp" or not 0 < int(found["port"]) < 1 << 16:
        return False
    try:
        ipaddress.ip_address(found["host"])
    except ValueError:
        return False
    return True
