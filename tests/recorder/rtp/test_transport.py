"""Senders in a session are bounded before anything is kept for them."""

from __future__ import annotations

import pylibsrtp
import pytest

from owtmix.recorder.rtp.transport import MAX_SSRCS, BoundedSrtp


class Decrypting:
    """Takes what ends with ``ok``."""

    def unprotect(self, data: bytes) -> bytes:
        if not data.endswith(b"ok"):
            raise pylibsrtp.Error
        return data[:-2]

    unprotect_rtcp = unprotect


def packet(ssrc: int, end: bytes = b"ok") -> bytes:
    return bytes(8) + ssrc.to_bytes(4, "big") + end


def report(ssrc: int) -> bytes:
    return bytes(4) + ssrc.to_bytes(4, "big") + b"ok"


def test_one_sender_too_many_is_refused_and_others_go_on() -> None:
    session = BoundedSrtp(Decrypting())
    for ssrc in range(MAX_SSRCS):
        assert session.unprotect(packet(ssrc))
        assert session.unprotect_rtcp(report(ssrc))
    for ssrc in (MAX_SSRCS, 2**32 - 1):
        with pytest.raises(pylibsrtp.Error):
            session.unprotect(packet(ssrc))
        with pytest.raises(pylibsrtp.Error):
            session.unprotect_rtcp(report(ssrc))
    assert session.unprotect(packet(0))


def test_packets_of_strangers_count_for_nothing() -> None:
    session = BoundedSrtp(Decrypting())
    for ssrc in range(10 * MAX_SSRCS):
        with pytest.raises(pylibsrtp.Error):
            session.unprotect(packet(ssrc, b"no"))
    assert session.unprotect(packet(7))
