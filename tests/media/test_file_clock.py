"""A file's clock: stamps in, room time out (docs/semantics.md, "Stamps that lie")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owtmix.media.clock_track import TrackTime
from owtmix.media.file_clock import tell_time
from owtmix.plan.media_info import ClockRules
from tests.media.damage import (
    MadePacket,
    burst,
    copied,
    logs,
    muxed_by_stamps,
    paused,
    recording,
    shifted,
)

PICTURE, SOUND = 0, 1
RULES = ClockRules()
DAY_S = 86_340


def told(packets: list[MadePacket]) -> list[tuple[MadePacket, float]]:
    """Each packet that is used, with the time that the clock tells."""
    tracks, made = logs(packets)
    return [
        (packet, float(stamp))
        for log, track, time in zip(tracks, made, tell_time(tracks, RULES), strict=True)
        for packet, stamp, dropped in zip(track, log.stamps_s + time.shifts_s, time.dropped, strict=True)
        if not dropped
    ]


def breaks(packets: list[MadePacket]) -> list[tuple[int, str]]:
    """The track and the kind of each break."""
    tracks, made = logs(packets)
    times = tell_time(tracks, RULES)
    return [(track[0].track, found.kind) for track, time in zip(made, times, strict=True) for found in time.breaks]


def in_runs(packets: list[MadePacket], seconds: float) -> list[MadePacket]:
    """In the file the tracks lie in runs, as in fragmented MP4: so much picture, then so much sound."""
    return sorted(packets, key=lambda packet: (packet.true_s // seconds, packet.track))


def appended(*parts: list[MadePacket]) -> list[MadePacket]:
    """Recordings, one after the other in the file; the stamps of each begin at 0."""
    packets, start = [], 0.0
    for part in parts:
        packets += [replace(packet, true_s=packet.true_s + start) for packet in part]
        start = max(packet.true_s for packet in packets) + 0.02
    return packets


RIGHT: dict[str, Callable[[], list[MadePacket]]] = {
    "sound": lambda: recording(20),
    "picture alone": lambda: recording(20, sound=False),
    "begins anywhere": lambda: recording(20),
    "both pause": lambda: paused(recording(60), 10, 40),
    "picture pauses": lambda: paused(recording(60), 10, 40, track=PICTURE),
    "sound pauses often": lambda: paused(paused(recording(60), 10, 20, track=SOUND), 30, 55, track=SOUND),
    "pauses by turns": lambda: paused(paused(recording(60), 10, 20, track=SOUND), 20, 30, track=PICTURE),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_sound_is_untouched(name: str) -> None:
    packets = RIGHT[name]()
    assert breaks(packets) == []
    assert len(told(packets)) == len(packets)
    assert all(abs(time - packet.true_s) < 0.001 for packet, time in told(packets))


MENDED: dict[str, Callable[[], list[MadePacket]]] = {
    "picture steps back": lambda: shifted(recording(24), 10, -0.4, track=PICTURE),
    "sound steps back": lambda: shifted(recording(24), 10, -2.5, track=SOUND),
    "picture jumps": lambda: shifted(recording(20), 10, 8520, track=PICTURE),
    "picture jumps, sorted": lambda: muxed_by_stamps(shifted(recording(20), 10, 8520, track=PICTURE)),
    "picture jumps by minutes, sorted": lambda: muxed_by_stamps(shifted(recording(20), 10, 600, track=PICTURE)),
    "sound jumps, sorted": lambda: muxed_by_stamps(shifted(recording(33), 7, 90, track=SOUND)),
    "sound alone jumps": lambda: shifted(recording(20, pictures=False), 10, 2**32 / 48_000),
    "both jump by a day": lambda: shifted(recording(20), 10, DAY_S),
    "jumps and returns": lambda: shifted(recording(20), 8, 8520, track=PICTURE, to_s=12),
    "pauses and jumps": lambda: shifted(paused(recording(40), 10, 20, track=PICTURE), 20, 5000, track=PICTURE),
    "wraps": lambda: shifted(recording(20), 10, -(2**32) / 90_000, track=PICTURE),
    "sound starts again": lambda: shifted(recording(40), 20, -20, track=SOUND),
    "both start again, then one jumps": lambda: shifted(shifted(recording(40), 20, -20), 30, 500, track=PICTURE),
    "three appended": lambda: appended(recording(3), recording(5), recording(4)),
    "copies of both": lambda: copied(recording(20), 5, 10),
    "copies of the sound": lambda: copied(recording(20), 5, 5.5, track=SOUND),
    "copies of sound alone": lambda: copied(recording(20, pictures=False), 5, 9),
    "a spike ahead": lambda: shifted(recording(20, pictures=False), 8, 10, to_s=8.02),
    "a short spike ahead": lambda: shifted(recording(20), 8, 1.5, to_s=8.06, track=PICTURE),
    "both jump and return": lambda: shifted(recording(30), 8, 600, to_s=14),
    "picture steps back for a moment": lambda: shifted(recording(20), 8, -2, track=PICTURE, to_s=8.06),
    "sound steps back and returns": lambda: shifted(recording(30), 8, -2, track=SOUND, to_s=13),
    "lies in runs of two seconds": lambda: in_runs(shifted(recording(30), 12, 30, track=SOUND), 2),
    "starts again in runs of four seconds": lambda: in_runs(shifted(recording(32), 16, -16, track=SOUND), 4),
    "all of the sound stands there twice": lambda: [p for p in recording(20) for _ in range(1 + p.track)],
    "a spike back": lambda: shifted(recording(20, pictures=False), 8, -5, to_s=8.02),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_is_broken_is_put_where_it_belongs(name: str) -> None:
    packets = MENDED[name]()
    assert breaks(packets)
    used = told(packets)
    assert all(abs(time - packet.true_s) < 0.1 for packet, time in used)
    assert {packet.content for packet, _ in used} == {packet.content for packet in packets}


def test_after_a_small_step_back_of_both_tracks_both_follow_the_stamps() -> None:
    used = told(shifted(recording(24), 10, -0.4))
    late = [time - packet.true_s for packet, time in used if packet.true_s > 10.5]
    assert np.allclose(late, -0.4, atol=0.002)
    sound = [time for packet, time in used if packet.track == SOUND]
    assert all(after - before > 0.018 for before, after in pairwise(sound))


@pytest.mark.parametrize(("from_s", "to_s"), [(4, 7), (4, 5), (10, 15)])
def test_what_is_stamped_right_after_a_burst_keeps_its_time(from_s: float, to_s: float) -> None:
    used = told(burst(recording(20), from_s, to_s))
    assert all(abs(time - packet.true_s) < 0.002 for packet, time in used if not packet.touched)
    kept = [packet for packet, _ in used if packet.track == SOUND and packet.touched]
    assert len(kept) <= 40
    assert min(packet.true_s for packet in kept) > to_s - 0.8


def test_silence_is_no_copy_of_itself() -> None:
    """All packets of digital silence have the same bytes: timestamps that step back make none of them a copy."""
    packets = [
        replace(packet, content=7) if packet.track == SOUND else packet
        for packet in shifted(recording(24), 10, -1.0, track=SOUND)
    ]
    assert all(abs(time - packet.true_s) < 0.1 for packet, time in told(packets))
    assert len(told(packets)) == len(packets)


def test_network_jitter_is_no_burst() -> None:
    packets = recording(30)
    for at in (5.0, 9.0, 21.0):
        packets = burst(packets, at, at + 0.3, track=SOUND)
    assert len(told(packets)) == len(packets)


def test_after_too_many_breaks_a_track_is_used_up_to_there() -> None:
    packets = recording(240, pictures=False)
    for second in range(1, 239):
        for step in range(5):
            at = second + step / 5
            packets = shifted(packets, at, 5000 * (1 if step % 2 else -1), to_s=at + 0.1)
    used = told(packets)
    assert 0 < len(used) < len(packets)
    assert max(packet.true_s for packet, _ in used) > 20


DAMAGE = st.sampled_from(["jump", "back", "copy", "hole", "burst", "restart"])


@st.composite
def damaged(draw: st.DrawFn) -> list[MadePacket]:
    """A recording of a minute with up to three kinds of damage, in either track or both, apart from each other."""
    packets = recording(60)
    places = draw(st.lists(st.integers(1, 5), unique=True, min_size=1, max_size=3))
    for place in sorted(places, reverse=True):
        at, track = place * 10.0, draw(st.sampled_from([None, PICTURE, SOUND]))
        match draw(DAMAGE):
            case "jump":
                by = draw(st.sampled_from([30.0, 700.0, 5000.0, DAY_S])) if track is not None else DAY_S
                packets = shifted(packets, at, by, track=track)
            case "back":
                packets = shifted(packets, at, -draw(st.sampled_from([5.0, 9.5, 1000.0])), track=track)
            case "copy":
                packets = copied(packets, at - draw(st.sampled_from([0.5, 2.0, 4.0])), at, track=track)
            case "hole":
                # None is as long as a step back, within ``beside_s``: a clock that went ahead and returned.
                packets = paused(packets, at, at + draw(st.sampled_from([0.5, 2.0, 7.25])), track=track)
            case "burst":
                packets = burst(packets, at, at + draw(st.sampled_from([1.0, 3.0])), track=track)
            case "restart":
                packets = shifted(packets, at, -at, track=track)
    return packets


@pytest.mark.slow
@settings(max_examples=150)
@given(packets=damaged())
def test_untouched_media_is_never_at_another_time_and_nothing_is_longer_than_the_room(
    packets: list[MadePacket],
) -> None:
    used = told(packets)
    assert all(abs(time - packet.true_s) < 0.15 for packet, time in used if not packet.touched)
    assert max(time for _, time in used) < 60.2


def test_times_of_one_track_do_not_depend_on_the_order_of_tracks() -> None:
    tracks, _ = logs(MENDED["both start again, then one jumps"]())
    there: list[TrackTime] = tell_time(tracks, RULES)
    back = tell_time(tracks[::-1], RULES)[::-1]
    for one, other in zip(there, back, strict=True):
        assert np.array_equal(one.shifts_s, other.shifts_s)
