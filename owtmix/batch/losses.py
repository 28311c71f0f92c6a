"""What did not end when a batch, or its host, went down counts as lost, as if a node of a cluster had been."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from owtmix.base.strict_json import printable
from owtmix.batch.attempt import Attempt, BatchJob, Ended
from owtmix.batch.begun import begun_path, mark_of, read_marks
from owtmix.batch.journal import Journal
from owtmix.batch.night import LONGEST_ID, entry_of
from owtmix.batch.plan import log_name
from owtmix.batch.policy import FINAL, History, Verdict, judge
from owtmix.batch.problems import QueueError
from owtmix.batch.results_reader import Past, log_folder

_log = logging.getLogger(__name__)

_NEW: Final = History()
_WHY: Final = "the batch or its host went down while it ran"


def note_losses(journal: Journal, jobs: Iterable[BatchJob], attempts: int, host: str) -> None:
    """Record a loss of each job that ran here when an earlier batch went down.

    Raises:
        QueueError: it cannot be recorded.
    """
    for job, loss in find_losses(journal.path, jobs, journal.jobs, attempts):
        attempt = Attempt(job, loss.before.counted + 1, log_folder(journal.path) / log_name(job.id))
        ended = Ended(attempt, None, error=_WHY, node=host, peak_mib=loss.peak_mib)
        journal.note(entry_of(ended, loss.verdict), loss.after)
        name = printable(job.id, LONGEST_ID)
        if loss.verdict.state in FINAL:
            _log.error("%s is %s: %s, as often before", name, loss.verdict.state, _WHY)
        else:
            _log.warning("%s is tried again, after the others: %s", name, _WHY)
    if journal.failure:
        raise QueueError(journal.failure)
    with suppress(OSError):
        begun_path(journal.path).unlink()


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of a job, its history ``before`` it, and the most memory that an attempt had."""

    before: History
    verdict: Verdict
    peak_mib: int

    @property
    def after(self) -> History:
        """The history with this loss."""
        return self.before.after(None, counts=False, loss=True)


def find_losses(
    results: Path, jobs: Iterable[BatchJob], past: Mapping[str, Past], attempts: int
) -> list[tuple[BatchJob, Loss]]:
    """The jobs that ran when a batch with these results went down; ``past`` is what the results say."""
    marks = read_marks(begun_path(results))
    found = []
    for job in jobs if marks else ():
        known = past.get(job.id)
        if mark_of(job, known) in marks:
            is_open = known and known.key == job.key and not known.is_final
            history, peak_mib = (known.history, known.peak_mib) if known and is_open else (_NEW, 0)
            found.append((job, Loss(history, judge(None, history, attempts), peak_mib)))
    return found


def with_losses(results: Path, jobs: Iterable[BatchJob], past: Mapping[str, Past], attempts: int) -> dict[str, Past]:
    """What the results will say when the next run has recorded the losses."""
    losses = find_losses(results, jobs, past, attempts)
    return {**past} | {
        job.id: Past(job.key, loss.verdict.state, loss.after, None, _WHY, loss.peak_mib) for job, loss in losses
    }
