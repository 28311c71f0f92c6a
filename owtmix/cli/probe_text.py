"""Probe results as text, for ``--probe``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from owtmix.base.plain_text import plain_line
from owtmix.base.strict_json import printable
from owtmix.base.time import TimeRange, timecode
from owtmix.inputs.measure import LONGEST_NAME
from owtmix.plan.input_report import InputReport, PictureReport, SoundReport
from owtmix.plan.media_info import Damage

GAPS_SHOWN = 10

_CHANNELS = {1: "mono", 2: "stereo"}


def describe_reports(reports: Iterable[InputReport]) -> str:
    """Format each file with its picture and sound as lines of text."""
    return "\n".join(plain_line(line) for report in reports for line in _lines(report))


def _lines(report: InputReport) -> Iterator[str]:
    yield printable(report.file, LONGEST_NAME)
    if report.left_out:
        yield f"  cannot be used: {report.left_out}"
    if report.picture:
        yield from _picture(report.picture)
    for sound in report.sounds:
        yield from _sound(sound)
    for flaw in (*report.breaks, *report.flaws, *report.unused):
        yield f"  {flaw}"


def _picture(picture: PictureReport) -> Iterator[str]:
    yield f"  picture  {picture.codec} {', then '.join(picture.sizes)}, {_span(picture.span)}"
    if picture.rates_hz:
        lowest, median, highest = map(_number, picture.rates_hz)
        yield f"           {median} pictures a second, from {lowest} to {highest}"
    yield from _flaws(picture.gaps, picture.damage, "pictures or packets")


def _sound(sound: SoundReport) -> Iterator[str]:
    channels = _CHANNELS.get(sound.channels, f"{sound.channels} channels")
    yield f"  sound    {sound.codec} {sound.rate_hz} Hz {channels}, {_span(sound.span)}"
    if sound.drift_s:
        drift = f"{_number(sound.drift_ppm)} ppm, {_number(sound.drift_s * 1000)} ms in all"
        yield f"           its clock is off by {drift}"
    yield from _flaws(sound.gaps, sound.damage, "packets")


def _flaws(gaps: tuple[TimeRange, ...], damage: Damage, what: str) -> Iterator[str]:
    if gaps:
        more = ", ..." if len(gaps) > GAPS_SHOWN else ""
        yield f"           {len(gaps)} gap{'s' * (len(gaps) > 1)}: {', '.join(map(_span, gaps[:GAPS_SHOWN]))}{more}"
    if damage.count:
        first = "" if damage.first_s is None else f", first at {timecode(damage.first_s)}"
        yield f"           {damage.count} damaged {what}{first}"


def _span(span: TimeRange) -> str:
    return f"{timecode(span.start)} - {timecode(span.end)}"


def _number(value: Fraction) -> str:
    return f"{float(value):.2f}".rstrip("0").rstrip(".")
