"""Writes outputs from finished tracks, and reads them back."""

from __future__ import annotations

from typing import Final

from owtmix.produce.effort import Effort
from owtmix.produce.failures import Ending, Fail, FailureState, Retry, RetryWithLess, decide
from owtmix.produce.tasks import MuxTask
from owtmix.produce.workspace import WarningSink
from owtmix.workers.alone import shortage_of
from owtmix.workers.base import Executor

SLOWEST_DISK_BYTES_PER_S: Final = 2 << 20
"""A disk that writes more slowly than this counts as hung."""


def write_output(executor: Executor, task: MuxTask, effort: Effort, warnings: WarningSink) -> None:
    """Write one output in a new worker, which has read no recording; again if it dies or fails.

    Raises:
        MixError: the task fails, also when it is repeated.
    """
    # Muxing a large file takes long without a report. The tracks are our own files, so they cannot hang a decoder.
    grace_s = task.tracks.size_bytes / SLOWEST_DISK_BYTES_PER_S
    while True:
        (outcome,) = executor.run([task], alone=True, most=effort.most, grace_s=grace_s)
        lack = shortage_of(outcome)
        if not (outcome.death or outcome.error or lack):
            return
        state = FailureState(restarted=effort.restarted, shortages=effort.shortages)
        ending = Ending(task.name, "file", error=outcome.error, death=outcome.death, shortage=lack)
        for decision in decide(ending, state):
            match decision:
                case Fail():
                    raise decision.error
                case Retry() | RetryWithLess():
                    warnings.warn_restarted(decision.warning)
                    effort.repeat(decision)
