"""What became of a batch: a table for people, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from owtmix.base.plain_text import plain_line
from owtmix.base.strict_json import printable
from owtmix.base.wording import counted
from owtmix.batch.lines import clock
from owtmix.batch.night import LONGEST_ID
from owtmix.batch.tally import Tally

_LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a batch. ``left`` jobs have no final state, ``unrecorded`` results are not in the results file."""

    tally: Tally
    left: int
    unrecorded: int
    wall_s: float
    results: Path

    @property
    def speed(self) -> float:
        """Seconds of output per second."""
        return self.tally.output_s / self.wall_s if self.wall_s > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON values."""
        tally = self.tally
        return {
            "done": tally.done,
            "rejected": tally.states["rejected"],
            "poisoned": tally.states["poisoned"],
            "left": self.left,
            "skipped": tally.skipped,
            "attempts": tally.attempts,
            "retries": dict(sorted(tally.retries.items())),
            "warnings": tally.warnings,
            "unrecorded": self.unrecorded,
            "output_s": round(tally.output_s, 3),
            "cpu_s": round(tally.cpu_s, 3),
            "wall_s": round(self.wall_s, 3),
            "speed": round(self.speed, 3),
            "results": str(self.results),
            "failures": [
                {"id": failure.id, "state": failure.state, "exit": failure.exit_status, "error": failure.error}
                for failure in tally.failures
            ],
            "more_failures": tally.failed - len(tally.failures),
        }

    def describe(self) -> str:
        """The summary as lines of text."""
        return "\n".join(map(plain_line, self._lines()))

    def _lines(self) -> Iterator[str]:
        tally = self.tally
        yield f"done      {tally.done:,}"
        yield f"failed    {tally.failed:,}"
        for failure in tally.failures:
            status = "" if failure.exit_status is None else f", status {failure.exit_status}"
            reason = printable(failure.error, _LONGEST_REASON)
            yield f"          {printable(failure.id, LONGEST_ID)}: {failure.state}{status}: {reason}"
        if more := tally.failed - len(tally.failures):
            yield f"          and {more:,} more: see the results"
        if tally.skipped:
            yield f"skipped   {tally.skipped:,} of them, which had ended in an earlier run"
        if self.left:
            yield f"left      {self.left:,}: run the same command to go on"
        if tally.retries:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(tally.retries.items()))
            yield f"repeated  {counted(tally.retries.total(), 'attempt')}: {reasons}"
        if self.unrecorded:
            yield f"unwritten {counted(self.unrecorded, 'ended attempt is', 'ended attempts are')} not in the results"
        speed = f", {self.speed:.1f} times as fast as it lasts" if tally.output_s else ""
        yield f"output    {clock(tally.output_s)} in {clock(self.wall_s)}{speed}"
        yield f"CPU time  {clock(tally.cpu_s)}"
        yield f"results   {self.results}"
