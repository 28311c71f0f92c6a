"""The job of a room as it is now: its options, and the updates that were accepted so far."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from owtmix.base.errors import MixError, Problem, SpecError
from owtmix.base.own_files import read_own
from owtmix.base.shortage import machine_error
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.jobfile.reader import read_job, with_updates
from owtmix.jobfile.spec import JobSpec
from owtmix.recorder.finish import UPDATES_FILE
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.recorder.index_file import INDEX_FILE
from owtmix.recorder.job_file import job_text

_STORE: Final = {"Vendor": "local", "Bucket": "."}


class LiveJob:
    """The job of the room in the folder ``room``, read again when its updates have changed.

    Raises:
        SpecError: it is wrong.
    """

    def __init__(self, room: Path) -> None:
        self._updates = room / UPDATES_FILE
        try:
            self.options = FinishOptions.from_json(read_own(room / FINISH_FILE, MAX_INDEX_BYTES))
        except OSError as error:
            raise machine_error(error) or SpecError(Problem(FINISH_FILE, f"cannot be read: {error.strerror}")) from None
        self._begins = read_job(job_text(self.options, _STORE, INDEX_FILE, self.options.job_id))
        self._read: bytes | None = None
        self._spec = self._begins
        self.problem = ""
        """Why updates are not used; empty where they are."""

    def spec(self) -> JobSpec:
        """The job with all updates by now. Those that are wrong are left out, all of them that came since."""
        try:
            data = read_own(self._updates, MAX_INDEX_BYTES)
        except OSError:
            data = b""
        if data != self._read:
            self._read = data
            try:
                self._spec = with_updates(self._begins, data, UPDATES_FILE) if data.strip() else self._begins
                self.problem = ""
            except MixError as error:
                self.problem = str(error)
        return self._spec
