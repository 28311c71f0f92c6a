"""Makes aiortc receive encoded frames: replaces names in its modules, for the whole process."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import aioice.ice
from aiortc import rtcicetransport, rtcpeerconnection, rtp
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters

from owtmix.recorder.rtp import twcc
from owtmix.recorder.rtp.ice import BoundConnection, IceSettings
from owtmix.recorder.rtp.receiver import EncodedReceiver
from owtmix.recorder.rtp.transport import RecordingTransport

_MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
_PROFILES: Final = ("42001f", "42e01f", "4d001f", "64001f")
"""Of H.264: nothing is decoded, so any profile that browsers, OBS and phones send is as good."""


_DYNAMIC: Final = frozenset((*range(35, 64), *range(96, 128)))
"""Payload types that an offer gives a meaning: browsers use the lower ones, too, where aiortc answers with others."""


def install(ice: IceSettings) -> None:
    """Receive encoded frames at the addresses of ``ice``, from now on."""
    use_addresses(ice)
    vars(rtp).update(DYNAMIC_PAYLOAD_TYPES=_DYNAMIC)
    vars(rtcpeerconnection).update(RTCRtpReceiver=EncodedReceiver, RTCDtlsTransport=RecordingTransport)
    CODECS["audio"][:] = _sound()
    CODECS["video"][:] = _picture()
    for extensions in HEADER_EXTENSIONS.values():
        extensions[:] = [
            RTCRtpHeaderExtensionParameters(id=number, uri=uri) for number, uri in enumerate((_MID, twcc.URI), 1)
        ]


def use_addresses(ice: IceSettings) -> None:
    """Connect at the addresses of ``ice``, from now on, and stay connected to who answers late, as on a busy machine.

    A session ends when nothing comes any more.
    """
    vars(aioice.ice).update(CONSENT_FAILURES=sys.maxsize)
    vars(rtcicetransport).update(Connection=partial(BoundConnection, ice=ice))


def prefer_redundant(codecs: list[RTCRtpCodecParameters]) -> None:
    """Have a sender that offers redundant sound (RED) send each packet twice. ``codecs`` are those of the answer."""
    opus = next((codec.payloadType for codec in codecs if codec.name.lower() == "opus"), None)
    for codec in list(codecs):
        if codec.name.lower() == "red":
            codecs.remove(codec)
            if opus is not None:
                codec.parameters = {f"{opus}/{opus}": None}
                codecs.insert(0, codec)


def _sound() -> list[RTCRtpCodecParameters]:
    feedback = [RTCRtcpFeedback("nack"), RTCRtcpFeedback("transport-cc")]
    return [
        RTCRtpCodecParameters("audio/opus", 48000, 2, 96, rtcpFeedback=feedback),
        RTCRtpCodecParameters("audio/red", 48000, 2, 97, rtcpFeedback=feedback),
    ]


def _picture() -> list[RTCRtpCodecParameters]:
    codecs = []
    kinds = [("video/VP8", "")] + [("video/H264", profile) for profile in _PROFILES]
    for number, (name, profile) in enumerate(kinds):
        parameters = {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": profile}
        feedback = [RTCRtcpFeedback("nack"), RTCRtcpFeedback("nack", "pli"), RTCRtcpFeedback("transport-cc")]
        codecs.append(
            RTCRtpCodecParameters(
                name, 90000, None, 100 + 2 * number, rtcpFeedback=feedback, parameters={**parameters} if profile else {}
            )
        )
        codecs.append(
            RTCRtpCodecParameters("video/rtx", 90000, None, 101 + 2 * number, parameters={"apt": 100 + 2 * number})
        )
    return codecs
