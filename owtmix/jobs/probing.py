"""Probes recordings without a job."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from owtmix.inputs.gather import clock_rules
from owtmix.inputs.measure import probe_files
from owtmix.jobfile.settings import Settings
from owtmix.jobs.worker_server import open_workers
from owtmix.plan.input_report import InputReport
from owtmix.workers.worker_process import ForkServer

_log = logging.getLogger(__name__)


def probe_recordings(
    files: Sequence[Path], settings: Settings, *, strict: bool, server: ForkServer | None = None
) -> list[InputReport]:
    """Decode ``files`` to their ends and report what is in them, in workers that ``server`` starts.

    Raises:
        InputError: none can be used, or with ``strict`` one cannot.
    """
    with open_workers(settings, _log.warning, server=server) as executor:
        return probe_files(executor, files, clock_rules(settings), strict=strict)
