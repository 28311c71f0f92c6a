"""Warnings of a run, for the log and the result, and events for the receivers of callbacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from owtmix.base.errors import Interrupted
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import JobSpec
from owtmix.notify import events
from owtmix.notify.events import WarnCode
from owtmix.plan.model import RenderPlan

if TYPE_CHECKING:
    from owtmix.notify.notifier import Notifier

_log = logging.getLogger(__name__)

INTERRUPTED_WAIT_S: Final = 1.0
"""How long an interrupted run goes on sending callbacks."""


@dataclass(frozen=True, slots=True)
class CallbackCount:
    """Callbacks of a run: delivered or dropped ones, and those that are left in the outbox."""

    sent: int
    left: int


class Announcer:
    """Keeps the warnings of a run; between ``run`` and its end, tells the job's receivers of callbacks."""

    def __init__(self, spec: JobSpec, settings: Settings, *, wait: bool = True) -> None:
        """Without ``wait`` a run ends without waiting for receivers."""
        self.warnings: list[str] = []
        self._spec = spec
        self._settings = settings
        self._wait = wait
        self.callbacks: CallbackCount | None = None
        """How many callbacks were delivered, and how many are left; None until the end of a run with receivers."""
        self._notifier: Notifier | None = None
        self._held: list[tuple[WarnCode, str]] = []
        self._recordings: Sequence[str] | None = None
        """The keys of all recordings; None until there is a plan."""

    def warn(self, message: str, code: WarnCode | None = None) -> None:
        """Log it, keep it for the report and, where it has a code, tell the receivers its outline."""
        _log.warning("%s", message)
        self.warnings.append(message)
        if code:
            self._held.append((code, message))
            self._release()

    def warn_damaged(self, message: str) -> None:
        """Warn that an input is damaged."""
        self.warn(message, WarnCode.INPUT_DAMAGED)

    def warn_lost(self, message: str) -> None:
        """Warn that an input can no longer be fetched."""
        self.warn(message, WarnCode.INPUT_LEFT_OUT)

    def warn_restarted(self, message: str) -> None:
        """Warn that a task is done again after its process failed."""
        self.warn(message, WarnCode.SERVICE_WARN_PROCESS_RESTART)

    @contextmanager
    def run(self, outbox: Path, output: str) -> Iterator[None]:
        """Send the events of the start and of a failure; at the end, wait for the receivers.

        Args:
            outbox: the folder of all outboxes.
            output: the address of the output.
        """
        settings, spec = self._settings, self._spec
        if not spec.notify:
            yield
            return
        # Imported here, since a job without receivers need not wait for the HTTP library to load.
        from owtmix.notify.notifier import Notifier  # noqa: PLC0415
        from owtmix.notify.options import SenderOptions  # noqa: PLC0415

        sending = SenderOptions(settings.network.allow, settings.callbacks.signing_key)
        self._notifier = Notifier(spec.job_id, spec.request_id, spec.notify, outbox, sending)
        wait_s = settings.callbacks.wait_s if self._wait else 0.0
        try:
            self._notifier.notify(events.started())
            if self._notifier.resumed:
                told = "the run continues one that was killed"
                self._notifier.notify(events.warning(WarnCode.SERVICE_WARN_PROCESS_RESTART, told))
            yield
        except BaseException as error:
            if isinstance(error, Interrupted):
                wait_s = min(wait_s, INTERRUPTED_WAIT_S)
            self._notifier.notify(*events.failed(error, [output]))
            raise
        finally:
            if self._notifier.left and wait_s:
                _log.info("waiting up to %g s for the receivers of %d callbacks", wait_s, self._notifier.left)
            left = self._notifier.finish(wait_s)
            self.callbacks = CallbackCount(self._notifier.stored - left, left)
            if left:
                tell = self.warn if self._wait else _log.info
                tell(f"{left} callbacks are not delivered: owt-main --resend {spec.job_id}")

    def plan(self, plan: RenderPlan) -> None:
        """Send the events of streams that join and leave, and of inputs that are left out; then those of warnings."""
        if self._notifier:
            self._notifier.notify(*events.stream_updates(plan), *events.left_out(plan))
        self._recordings = events.recordings_of(plan)
        self._release()

    def finish(self, output: str) -> None:
        """Send the event of a finished output."""
        if self._notifier:
            self._notifier.notify(*events.finished([output]))

    def _release(self) -> None:
        if self._recordings is not None and self._notifier:
            outlines = ((code, events.outline(code, message, self._recordings)) for code, message in self._held)
            self._notifier.notify(*(events.warning(code, told) for code, told in outlines))
            self._held.clear()
