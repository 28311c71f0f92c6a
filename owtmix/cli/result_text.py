"""The result of a job as a few lines of text, for people."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from owtmix.base.plain_text import plain_line
from owtmix.base.strict_json import printable
from owtmix.base.time import timecode
from owtmix.inputs.measure import LONGEST_NAME
from owtmix.jobs.result import JobResult

FILES_SHOWN = 10


def describe_result(result: JobResult) -> str:
    """Where the output is, how long it is, how fast it was made, and what was left out and why."""
    return "\n".join(map(plain_line, _lines(result)))


def _lines(result: JobResult) -> Iterator[str]:
    took_s = sum(result.seconds.values())
    yield f"output    {result.output}"
    yield f"length    {timecode(Fraction(result.duration_s))}, {len(result.streams.used)} streams"
    speed = f", {result.duration_s / took_s:.1f} times as fast as it lasts" if took_s else ""
    chunks = result.chunks
    reused = f", {chunks.reused} of {chunks.total} chunks from an earlier run" if chunks.reused else ""
    yield f"made in   {took_s:.1f} s{speed}{reused}"
    left_out = result.files.left_out
    for number, file in enumerate(left_out[:FILES_SHOWN]):
        yield f"{'' if number else 'left out':10}{printable(file.file, LONGEST_NAME)}: {file.reason}"
    if len(left_out) > FILES_SHOWN:
        yield f"{'':10}and {len(left_out) - FILES_SHOWN} more: --json names all"
    if result.warnings:
        yield f"warnings  {len(result.warnings)}, above and in the log"
    if result.callbacks and result.callbacks.left:
        yield f"callbacks {result.callbacks.left} not delivered: owt-main --resend {result.job_id}"
