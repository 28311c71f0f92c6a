"""Clocks: what senders claim becomes the time of capture by the server's clock, also where they drift, jump or lie."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pytest

from owtmix.recorder.clock import EARLY_US, LATE_US, TrackClock, TrackLog, place
from owtmix.recorder.journal import Frame, Report

BEGIN_US: Final = 1_795_327_385_123_000
HOUR_S: Final = 3600
DELAY_US: Final = 20_000
AGREE_US: Final = 5_000
"""How far two tracks with the same delay may be apart: jitter, at its least."""
DRIFT_US: Final = 20_000
"""How far drift may lead anybody astray; 40 ms is the most that participants may disagree."""


@dataclass(frozen=True)
class Simulated:
    """A track: its frames with the times of their capture, and reports."""

    rate: int
    frames: list[tuple[int, Frame]]
    reports: list[Report]

    def log(self, *, is_common: bool = False) -> TrackLog:
        log = TrackLog(self.rate, is_common=is_common)
        for _, frame in self.frames:
            log.add(frame)
        for report in self.reports:
            log.add(report)
        return log

    def errors_us(self, clock: TrackClock) -> list[int]:
        """How late each frame is placed."""
        clock = clock.anew()
        return [clock.time_us(frame) - at_us for at_us, frame in self.frames]


def simulated(
    rate: int,
    length_s: int,
    *,
    every_s: float = 1.0,
    clock_off_us: int = 0,
    clock_drift: float = 0.0,
    card_drift: float = 0.0,
    reports: bool = True,
    jitter_us: float = 5_000,
    seed: int = 1,
) -> Simulated:
    """A sender whose clock is ahead and drifts, and whose track counts by a card that drifts against that clock."""
    chance = random.Random(seed)
    rtp_from = chance.randrange(1 << 32)

    def sender_us(passed_us: float) -> int:
        return round(BEGIN_US + passed_us * (1 + clock_drift)) + clock_off_us

    def rtp(passed_us: float) -> int:
        return rtp_from + round(passed_us * (1 + clock_drift) * (1 + card_drift) * rate / 1e6)

    def arrived(passed_us: float) -> int:
        return round(BEGIN_US + passed_us + DELAY_US + chance.expovariate(1 / jitter_us))

    times = [round(n * every_s * 1e6) for n in range(int(length_s / every_s))]
    frames = [(BEGIN_US + at, Frame(rtp(at), arrived(at), True, b"")) for at in times]
    said = [Report(rtp(at), arrived(at), sender_us(at)) for at in range(0, length_s * 1_000_000, 2_000_000)]
    return Simulated(rate, frames, said if reports else [])


def late_us(errors: Sequence[int]) -> float:
    return sum(errors) / len(errors)


@pytest.mark.parametrize("off_us", [0, 7, -77_000, 3_600_000_000, -1_000_000_000_000_000])
@pytest.mark.parametrize("reports", [True, False])
def test_the_wrong_clock_of_a_sender_does_not_matter(off_us: int, reports: bool) -> None:
    picture = simulated(90_000, 30, every_s=0.03, clock_off_us=off_us, reports=reports)
    sound = simulated(48_000, 30, every_s=0.02, clock_off_us=off_us, reports=reports, seed=2)
    for track, clock in zip((picture, sound), place([picture.log(), sound.log()]), strict=True):
        errors = track.errors_us(clock)
        assert DELAY_US - AGREE_US < min(errors) <= max(errors) < DELAY_US + AGREE_US


@pytest.mark.parametrize("drift", [1e-4, -1e-4, 2e-5])
@pytest.mark.parametrize("reports", [True, False])
def test_drift_of_the_senders_clock_is_taken_up(drift: float, reports: bool) -> None:
    """By 100 ppm a clock is off by 360 ms after an hour."""
    tracks = [
        simulated(90_000, HOUR_S, clock_drift=drift, reports=reports),
        simulated(48_000, HOUR_S, clock_drift=drift, reports=reports, seed=2),
    ]
    for track, clock in zip(tracks, place([track.log() for track in tracks]), strict=True):
        assert max(abs(error - DELAY_US) for error in track.errors_us(clock)) < DRIFT_US


@pytest.mark.parametrize("card_drift", [1e-4, -1e-4])
def test_sound_by_a_card_that_drifts_stays_with_the_picture(card_drift: float) -> None:
    picture, sound = simulated(90_000, HOUR_S), simulated(48_000, HOUR_S, card_drift=card_drift, seed=2)
    clocks = place([picture.log(), sound.log()])
    apart = [a - b for a, b in zip(picture.errors_us(clocks[0]), sound.errors_us(clocks[1]), strict=True)]
    assert max(map(abs, apart)) < AGREE_US


@pytest.mark.parametrize("packet_us", [10_000, 20_000, 60_000])
@pytest.mark.parametrize("length_s", [8, 120])
def test_sound_that_is_dated_when_it_is_sent_stays_with_the_picture(packet_us: int, length_s: int) -> None:
    """Browsers report the time of sending with a packet's first sample, which was captured a packet's length before."""
    chance = random.Random(4)
    picture = simulated(90_000, length_s, every_s=0.04, jitter_us=2_000)
    sound = TrackLog(48_000)
    frames, reports = [], []
    for n in range(length_s * 1_000_000 // packet_us):
        begun_us = BEGIN_US + n * packet_us
        sent_us = begun_us + packet_us + chance.randrange(20_000)
        frames.append((begun_us, Frame(n * packet_us * 48 // 1000, sent_us + DELAY_US, True, b"")))
        sound.add(frames[-1][1], packet_us * 48 // 1000)
        if n % (4_000_000 // packet_us) == 1:
            reports.append(Report(frames[-1][1].rtp, sent_us + DELAY_US, sent_us))
            sound.add(reports[-1])
    clocks = place([picture.log(), sound])
    tracks = (picture, Simulated(48_000, frames, reports))
    for track, clock in zip(tracks, clocks, strict=True):
        assert max(abs(error - DELAY_US) for error in track.errors_us(clock)) < AGREE_US


def test_sound_that_is_dated_when_it_was_captured_is_where_its_reports_say() -> None:
    """Its sender is slow: packets arrive long after their last sample."""
    track = simulated(48_000, 60, every_s=0.02)
    late = Simulated(
        48_000, [(at, replace(f, arrived_us=f.arrived_us + 300_000)) for at, f in track.frames], track.reports
    )
    log = TrackLog(48_000)
    for _, frame in late.frames:
        log.add(frame, 960)
    for report in late.reports:
        log.add(report)
    (clock,) = place([log])
    assert max(abs(error - DELAY_US) for error in late.errors_us(clock)) < AGREE_US


def test_jitter_of_a_short_session_is_no_drift() -> None:
    track = simulated(48_000, 50, every_s=0.02, jitter_us=50_000)
    (clock,) = place([track.log()])
    errors = track.errors_us(clock)
    assert max(errors) - min(errors) <= 1


@pytest.mark.parametrize(
    "lie",
    [
        lambda n, ntp_us: ntp_us + (n % 4 == 0) * 10**13,
        lambda n, ntp_us: (n % 5 == 0) * -(1 << 62) or ntp_us,
        lambda n, ntp_us: 0 if n < 10 else ntp_us,
        lambda n, ntp_us: ntp_us + (n % 7 == 0) * 3_000_000,
    ],
)
def test_odd_reports_are_left_out(lie: Callable[[int, int], int]) -> None:
    track = simulated(90_000, 120, every_s=0.1)
    lies = [Report(r.rtp, r.arrived_us, lie(n, r.ntp_us)) for n, r in enumerate(track.reports)]
    lying = Simulated(track.rate, track.frames, lies)
    (clock,) = place([lying.log()])
    assert max(abs(error - DELAY_US) for error in lying.errors_us(clock)) < AGREE_US


def test_reports_that_contradict_arrivals_are_not_believed() -> None:
    """They say that sound is an hour older than the picture of the same sender."""
    picture, sound = simulated(90_000, 60, every_s=0.1), simulated(48_000, 60, every_s=0.1, seed=2)
    lies = [Report(r.rtp, r.arrived_us, r.ntp_us - HOUR_S * 1_000_000) for r in sound.reports[:5]]
    for track, clock in zip(
        (picture, sound), place([picture.log(), Simulated(48_000, sound.frames, lies).log()]), strict=True
    ):
        assert max(abs(error - DELAY_US) for error in track.errors_us(clock)) < AGREE_US


@pytest.mark.parametrize("jump_s", [36_000, -36_000, 10, -10, 1 << 40])
def test_a_jump_of_rtp_time_moves_nothing(jump_s: int) -> None:
    track = simulated(48_000, 60, every_s=0.02)
    half = len(track.frames) // 2
    frames = [
        (at, Frame(frame.rtp + (n >= half) * jump_s * 48_000, frame.arrived_us, True, b""))
        for n, (at, frame) in enumerate(track.frames)
    ]
    jumping = Simulated(48_000, frames, track.reports)
    (clock,) = place([jumping.log()])
    errors = jumping.errors_us(clock)
    assert max(abs(error - DELAY_US) for error in errors) < EARLY_US


def test_no_frame_is_placed_far_from_its_arrival_whatever_it_claims() -> None:
    chance = random.Random(3)
    frames = [Frame(chance.randrange(-(1 << 63), 1 << 63), BEGIN_US + 20_000 * n, True, b"") for n in range(5000)]
    log = TrackLog(48_000)
    for frame in frames:
        log.add(frame)
        log.add(Report(chance.randrange(-(1 << 63), 1 << 63), frame.arrived_us, chance.randrange(-(1 << 63), 1 << 63)))
    (clock,) = place([log])
    for frame in frames:
        assert -EARLY_US <= frame.arrived_us - clock.time_us(frame) <= LATE_US


def test_a_log_does_not_grow_with_records() -> None:
    log = TrackLog(90_000)
    for n in range(50_000):
        log.add(Report(n, BEGIN_US + n, n))
        log.add(Frame(n, BEGIN_US + n, False, b""))
    assert len(log.reports) <= 32
    assert len(log.delays) <= 2


@pytest.mark.parametrize("reports", [True, False])
@pytest.mark.parametrize("held_s", [3, 6, 14, 45])
def test_what_comes_late_since_somebody_was_held_up_keeps_its_time(held_s: int, reports: bool) -> None:
    """All that was sent meanwhile arrives at once, and what follows is in time again."""
    track = simulated(48_000, 150, every_s=0.02, reports=reports)
    free_us = BEGIN_US + (50 + held_s) * 1_000_000
    late = [
        (at_us, replace(frame, arrived_us=max(frame.arrived_us, free_us)) if at_us > BEGIN_US + 50_000_000 else frame)
        for at_us, frame in track.frames
    ]
    held = Simulated(track.rate, late, track.reports)
    (clock,) = place([held.log()])
    assert max(abs(error - DELAY_US) for error in held.errors_us(clock)) < AGREE_US


def test_the_clock_of_a_track_that_stood_still_is_that_of_its_arrivals_from_there_on() -> None:
    track = simulated(48_000, 120, every_s=0.02, reports=False)
    still = [
        (at_us, frame)
        if at_us < BEGIN_US + 60_000_000
        else (at_us + 20_000_000, replace(frame, arrived_us=frame.arrived_us + 20_000_000))
        for at_us, frame in track.frames
    ]
    found = Simulated(track.rate, still, [])
    (clock,) = place([found.log()])
    assert max(abs(error - DELAY_US) for error in found.errors_us(clock)) < 4 * DELAY_US


@pytest.mark.parametrize("is_common", [True, False])
def test_tracks_that_count_the_same_time_stay_together_though_one_is_late(is_common: bool) -> None:
    late_us = 150_000
    track = simulated(1000, 60, every_s=0.02, reports=False)
    behind = [(at_us, replace(frame, arrived_us=frame.arrived_us + late_us)) for at_us, frame in track.frames]
    tracks = [track, Simulated(track.rate, behind, [])]
    clocks = place([one.log(is_common=is_common) for one in tracks])
    first, second = (max(one.errors_us(clock)) for one, clock in zip(tracks, clocks, strict=True))
    assert abs(first - DELAY_US) < AGREE_US
    assert abs(second - first - late_us * (not is_common)) < AGREE_US
