"""What a receiver report says about a sender (RFC 3550, section 6.4 and appendix A)."""

from __future__ import annotations

from typing import Final

from owtmix.recorder.rtp.timeline import SequenceUnwrapper

_MOST_LOST: Final = (1 << 23) - 1
_WORD: Final = 0xFFFFFFFF


class ReceptionStatistics:
    """Counts the packets of one sender. ``rate`` is how many units of RTP time a second has."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._sequences = SequenceUnwrapper()
        self._first = 0
        self._received = 0
        self._transit: int | None = None
        self._jitter_16 = 0
        """Sixteen times the jitter, in units of RTP time."""
        self._told = 0, 0
        self._report: tuple[int, int] | None = None

    def add(self, sequence: int, timestamp: int, at_us: int) -> None:
        """Count a packet."""
        is_first = self._sequences.highest is None
        found = self._sequences.unwrap(sequence)
        if found is None:
            return
        unwrapped, is_new = found
        if is_first or is_new:
            self._first, self._received, self._told = unwrapped, 0, (0, 0)
        self._received += 1
        transit = (at_us * self._rate // 1_000_000 - timestamp) & _WORD
        if self._transit is not None:
            moved = (transit - self._transit) & _WORD
            self._jitter_16 += min(moved, _WORD + 1 - moved) - ((self._jitter_16 + 8) >> 4)
        self._transit = transit

    def note_report(self, ntp: int, at_us: int) -> None:
        """Note a report of the sender, for its measure of the round trip."""
        self._report = ntp >> 16 & _WORD, at_us

    def told(self, at_us: int) -> tuple[int, int, int, int, int, int] | None:
        """Fraction lost (of 256), packets lost, highest number, jitter, and the sender's last report and its age.

        None where nothing was received. The fraction is about the time since the last call.
        """
        highest = self._sequences.highest
        if highest is None:
            return None
        expected = highest - self._first + 1
        new_expected, new_received = expected - self._told[0], self._received - self._told[1]
        self._told = expected, self._received
        lost = max(0, new_expected - new_received)
        fraction = min(255, lost * 256 // new_expected) if new_expected > 0 else 0
        total = max(-_MOST_LOST, min(expected - self._received, _MOST_LOST))
        report, age = 0, 0
        if self._report:
            report, age = self._report[0], min((at_us - self._report[1]) * 65536 // 1_000_000, _WORD)
        return fraction, total, highest & _WORD, min(self._jitter_16 >> 4, _WORD), report, age
