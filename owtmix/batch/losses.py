"""What did not end when a batch, or its host, went down counts as lost, as if a node of a cluster had been."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from owtmix.base.strict_json import printable
from owtmix.batch.attempt import Attempt, BatchJob, Ended
from owtmix.batch.begun import begun_path, mark_of, read_marks
from owtmix.batch.journal import Journal
from owtmix.batch.night import LONGEST_ID, entry_of
from owtmix.batch.plan import log_name
from owtmix.batch.policy import FINAL, History, judge
from owtmix.batch.problems import QueueError
from owtmix.batch.results_reader import log_folder

_log = logging.getLogger(__name__)

_NEW: Final = History()
_WHY: Final = "the batch or its host went down while it ran"


def note_losses(journal: Journal, jobs: Iterable[BatchJob], attempts: int, host: str) -> None:
    """Record a loss of each job that ran here when an earlier batch went down.

    Raises:
        QueueError: it cannot be recorded.
    """
    path = begun_path(journal.path)
    marks = read_marks(path)
    for job in jobs if marks else ():
        past = journal.jobs.get(job.id)
        if mark_of(job, past) not in marks:
            continue
        history = past.history if past and past.key == job.key and not past.is_final else _NEW
        verdict = judge(None, history, attempts)
        attempt = Attempt(job, history.counted + 1, log_folder(journal.path) / log_name(job.id))
        ended = Ended(attempt, None, error=_WHY, node=host)
        journal.note(entry_of(ended, verdict), history.after(None, counts=False, loss=True))
        name = printable(job.id, LONGEST_ID)
        if verdict.state in FINAL:
            _log.error("%s is %s: %s, as often before", name, verdict.state, _WHY)
        else:
            _log.warning("%s is tried again, after the others: %s", name, _WHY)
    if journal.failure:
        raise QueueError(journal.failure)
    with suppress(OSError):
        path.unlink()
