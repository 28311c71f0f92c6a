"""What a worker says of a recording is believed only where it could be true and is safe to compute with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import pytest

from owtmix.base.geometry import Size
from owtmix.base.time import TimeRange
from owtmix.media.audio_drift import MAX_RUNS
from owtmix.media.open import MAX_PIXELS, MAX_STREAMS
from owtmix.plan import plausible
from owtmix.plan.input_report import report_input
from owtmix.plan.media_info import AudioRun, Damage, DecodeStats, Probe, Section, TimeBreak
from owtmix.plan.plausible import check_probe
from tests.support.plans import picture, sound

HUGE: Final = Fraction(10**300)
PROBE: Final = Probe(
    replace(picture([0, 1, 5]), sections=(Section(0, 0), Section(7, None), Section(9, -5)), decoder_bytes=1 << 20),
    (sound(0, 3), sound(1, 4)),
    Fraction(-7, 1000),
    (Fraction(1), Fraction(2), Fraction(3)),
    Damage(2, Fraction(1, 3)),
    DecodeStats((Size(640, 360), Size(8192, 4320))),
    breaks=(TimeBreak("picture", "jump", Fraction(2), Fraction(-7200)),),
    flaws=("it ends early",),
    end_bytes=1 << 40,
)


def video(**changes: Any) -> Probe:
    assert PROBE.video
    return replace(PROBE, video=replace(PROBE.video, **changes))


def heard(**changes: Any) -> Probe:
    return replace(PROBE, sounds=(replace(PROBE.sounds[0], **changes),))


def run(*knots: tuple[int, Any]) -> AudioRun:
    return AudioRun(tuple((sample, Fraction(t)) for sample, t in knots))


def primes(count: int) -> list[int]:
    found: list[int] = []
    number = 1 << 20
    while len(found) < count:
        number += 1
        if all(number % divisor for divisor in range(2, 1100)):
            found.append(number)
    return found


def many_clocks() -> Probe:
    """A sound whose times have no denominator in common: adding them up takes for ever."""
    return heard(runs=tuple(run((0, n), (9, n + Fraction(1, prime))) for n, prime in enumerate(primes(5000))))


ABSURD: Final[dict[str, Callable[[], Probe]]] = {
    "no track": lambda: replace(PROBE, video=None, sounds=()),
    "a late start": lambda: replace(PROBE, start_s=HUGE),
    "a start behind the end": lambda: replace(PROBE, start_s=Fraction(5000)),
    "an early start": lambda: replace(PROBE, start_s=-HUGE),
    "a fine time": lambda: replace(PROBE, start_s=1 / HUGE),
    "a long text": lambda: replace(PROBE, flaws=("x" * 5000,)),
    "many texts": lambda: replace(PROBE, flaws=("x",) * 20_000),
    "a wide jump": lambda: replace(PROBE, breaks=(TimeBreak("sound", "jump", Fraction(0), HUGE),)),
    "no rate": lambda: replace(PROBE, rates_hz=(Fraction(0), Fraction(1), Fraction(1))),
    "a rate below 0": lambda: replace(PROBE, rates_hz=(Fraction(-1), Fraction(1), Fraction(1))),
    "an end below 0": lambda: replace(PROBE, end_bytes=-1),
    "damage below 0": lambda: replace(PROBE, audio_damage=Damage(-1)),
    "decoded sizes": lambda: replace(PROBE, video_stats=DecodeStats((Size(0, 9),))),
    "many sounds": lambda: replace(PROBE, sounds=PROBE.sounds * 50),
    "a huge picture": lambda: video(size=Size(8192, 4321)),
    "a picture of nothing": lambda: video(size=Size(0, 5)),
    "a picture below nothing": lambda: video(size=Size(-640, -360)),
    "a greedy decoder": lambda: video(decoder_bytes=10**40),
    "a generous decoder": lambda: video(decoder_bytes=-1),
    "a stream below 0": lambda: video(index=-1),
    "a long picture": lambda: video(span=TimeRange(-HUGE, HUGE)),
    "gaps that overlap": lambda: video(gaps=(TimeRange(Fraction(0), Fraction(9)),) * 2),
    "a section below 0": lambda: video(sections=(Section(-1, 0),)),
    "a far section": lambda: video(sections=(Section(0, 10**300),)),
    "no samples a second": lambda: heard(rate_hz=0),
    "samples below 0": lambda: heard(rate_hz=-48_000),
    "many samples a second": lambda: heard(rate_hz=10**30),
    "no channels": lambda: heard(channels=0),
    "many channels": lambda: heard(channels=10**6),
    "no pieces": lambda: heard(runs=()),
    "many pieces": lambda: heard(runs=tuple(run((0, n), (1, n + 1)) for n in range(100_001))),
    "one knot": lambda: heard(runs=(run((0, 0)),)),
    "no knots": lambda: heard(runs=(AudioRun(()),)),
    "knots in one place": lambda: heard(runs=(run((0, 0), (0, 1)),)),
    "knots at one time": lambda: heard(runs=(run((0, 0), (5, 0)),)),
    "knots that go back": lambda: heard(runs=(run((5, 0), (0, 1)),)),
    "a knot below 0": lambda: heard(runs=(run((-5, 0), (0, 1)),)),
    "pieces that overlap": lambda: heard(runs=(run((0, 0), (5, 2)), run((0, 1), (5, 3)))),
    "many clocks": many_clocks,
}


def test_an_honest_measurement_passes() -> None:
    check_probe(PROBE)
    check_probe(replace(PROBE, video=None))
    check_probe(replace(PROBE, sounds=(), rates_hz=None, end_bytes=None))


@pytest.mark.parametrize("made", ABSURD.values(), ids=ABSURD)
def test_an_absurd_measurement_does_not(made: Callable[[], Probe]) -> None:
    with pytest.raises(ValueError, match=r"^(has|names|ends)"):
        check_probe(made())


def test_the_bounds_are_those_of_the_media_library() -> None:
    known = (plausible.MOST_PIXELS, plausible.MOST_TRACKS, plausible.MOST_RUNS)
    assert known == (MAX_PIXELS, MAX_STREAMS, MAX_RUNS)


def test_times_with_many_denominators_are_added_up_in_time() -> None:
    """As many as pass. One after the other they take minutes."""
    probe = heard(runs=tuple(run((0, n), (9, n + Fraction(1, prime))) for n, prime in enumerate(primes(3000))))
    check_probe(probe)
    since_s = time.process_time()
    (found,) = report_input("a", probe).sounds
    assert time.process_time() - since_s < 5
    assert float(found.drift_s) == pytest.approx(sum(1 / prime for prime in primes(3000)) - 3000 * 9 / 48_000)
