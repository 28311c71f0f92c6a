"""Offers: what is wrong with one is said in words, without any of it."""

from __future__ import annotations

import random

import pytest

from owtmix.recorder.rtp.ice import IceSettings, bound_socket
from owtmix.recorder.rtp.offer import MAX_CANDIDATES, MAX_SDP_BYTES, OfferError, usable_offer

ICE = IceSettings(("127.0.0.1",))
HEAD = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
CREDENTIALS = [
    "a=rtcp-mux",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901",
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
    "a=setup:actpass",
]
CANDIDATE = "a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host"
AUDIO = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=sendonly", "a=rtpmap:111 opus/48000/2", *CREDENTIALS]
VIDEO = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=sendonly", "a=rtpmap:96 VP8/90000", *CREDENTIALS]


def sdp(*lines: str) -> str:
    return "\r\n".join(lines) + "\r\n"


def test_an_offer_of_sound_and_picture_is_taken() -> None:
    offer = sdp(*HEAD, *AUDIO, CANDIDATE, *VIDEO, CANDIDATE)
    assert usable_offer(offer, ICE) == offer


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([*HEAD], "sections of audio and video"),
        ([*HEAD, *AUDIO, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"], "sections of audio and video"),
        ([*HEAD, *AUDIO, *AUDIO], "at most one section"),
        ([*HEAD, *[line.replace("opus", "PCMU") for line in AUDIO]], "section of audio has no usable codec"),
        ([*HEAD, *[line.replace("VP8", "AV1") for line in VIDEO]], "H.264 .* or VP8"),
        ([*HEAD, *[line.replace("sendonly", "recvonly") for line in AUDIO]], "sends nothing"),
        ([*HEAD, *[line for line in AUDIO if "ice-pwd" not in line]], "credentials"),
        ([*HEAD, *[line for line in AUDIO if "fingerprint" not in line]], "credentials"),
        ([*HEAD, *[line for line in AUDIO if "setup" not in line]], "credentials"),
        ([*HEAD, *[line for line in AUDIO if "rtcp-mux" not in line]], "rtcp-mux"),
        (["hello"], "sections|no SDP"),
        (["m=audio nonsense"], "no SDP"),
        ([*HEAD, "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=fmtp:5 x"], "no SDP"),
        ([*HEAD, *AUDIO, *["a=x"] * 1000], "lines"),
    ],
)
def test_what_is_wrong_is_said(lines: list[str], words: str) -> None:
    with pytest.raises(OfferError, match=words) as caught:
        usable_offer(sdp(*lines), ICE)
    assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize("text", ["x" * (1 << 20), "é" * (MAX_SDP_BYTES // 2 + 1), "v=0\r\n" * (1 << 17)])
def test_an_offer_that_is_too_large_is_not_parsed(text: str) -> None:
    with pytest.raises(OfferError, match="is not read"):
        usable_offer(text, ICE)


def test_candidates_that_nobody_can_reach_are_left_out() -> None:
    hidden = "a=candidate:2 1 udp 2113937151 6d8b-11.local 50000 typ host"
    tcp = "a=candidate:3 1 tcp 1518280447 127.0.0.1 9 typ host tcptype active"
    huge = "a=candidate:4 1 udp 1 127.0.0.1 99999 typ host"
    usable = usable_offer(sdp(*HEAD, *AUDIO, hidden, CANDIDATE, tcp, huge, "a=end-of-candidates"), ICE)
    assert [line for line in usable.splitlines() if "candidate" in line] == [CANDIDATE]


def test_an_offer_without_usable_candidates_waits_for_its_senders_checks() -> None:
    hidden = "a=candidate:2 1 udp 2113937151 6d8b-11.local 50000 typ host"
    usable = usable_offer(sdp(*HEAD, *AUDIO, hidden), ICE)
    assert [line for line in usable.splitlines() if "candidate" in line] == [
        "a=candidate:0 1 udp 1 127.0.0.1 9 typ host"
    ]


def test_candidates_are_bounded() -> None:
    many = [CANDIDATE.replace("40000", str(40000 + n)) for n in range(500)]
    assert usable_offer(sdp(*HEAD, *AUDIO, *many), ICE).count("a=candidate") == MAX_CANDIDATES


def test_damaged_offers_are_taken_or_refused() -> None:
    """Bytes changed, lines left out and repeated: no other error ever comes out."""
    whole = [*HEAD, *AUDIO, CANDIDATE, *VIDEO, "a=fmtp:96 x=1", "a=rtcp-fb:96 nack", "a=ssrc:1 cname:x"]
    refused = 0
    for seed in range(1500):
        rng = random.Random(seed)
        lines = [line for line in whole for _ in range(rng.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2]))]
        text = bytearray(sdp(*lines).encode())
        for _ in range(rng.randrange(6)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        try:
            usable_offer(text.decode(errors="replace"), ICE)
        except OfferError:
            refused += 1
    assert 0 < refused < 1500


def test_ports_are_taken_from_the_range_until_none_is_free() -> None:
    free = bound_socket("127.0.0.1", None)
    assert free
    first = free.getsockname()[1]
    free.close()
    ports = first, min(first + 3, 65535)
    bound = [bound_socket("127.0.0.1", ports) for _ in range(10)]
    found = {one.getsockname()[1] for one in bound if one}
    assert found <= set(range(ports[0], ports[1] + 1))
    assert found
    assert bound[-1] is None
    for one in bound:
        if one:
            one.close()
