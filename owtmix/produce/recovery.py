"""Recovery from failures: the plan goes on without what failed, elsewhere, or with less at a time.

``failures.py`` decides what to do after a failure; this module does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from owtmix.base.errors import InputError
from owtmix.produce.chunk_cache import SourceLoss
from owtmix.produce.chunk_key import InputVersions
from owtmix.produce.effort import Effort
from owtmix.produce.failures import (
    Ending,
    Fail,
    FailureState,
    GiveUpGpu,
    GiveUpGpuEncoder,
    LeaveOut,
    Retry,
    RetryWithLess,
    TrySuspects,
    decide,
)
from owtmix.produce.progress import CompositionProgress
from owtmix.produce.suspects import try_suspects
from owtmix.produce.tasks import RenderSetup, TrackTask
from owtmix.produce.workspace import WarningSink, Workspace
from owtmix.workers.base import Death, DeathKind, Outcome

MOST_LOSSES: Final = 20
"""A source that fails again earlier after so many failures is not used at all."""

Failed = tuple[Outcome[TrackTask], Ending]
"""A task that made no track, and what that says."""


class Recovery:
    """Changes a setup by what fails.

    Args:
        setup: the plan and its files.
        versions: the versions of the inputs and of the code.
        workspace: workers, and the cache that keeps the proven losses.
        effort: lessened when the machine is short of something.
        warnings: receives the warnings for the user.

    Attributes:
        setup: as failures have left it.
        lost: the reasons of failed downloads, by source number.
    """

    def __init__(
        self,
        setup: RenderSetup,
        versions: InputVersions,
        workspace: Workspace,
        effort: Effort,
        warnings: WarningSink,
    ) -> None:
        self.setup = setup
        self.lost: dict[int, str] = {}
        self._versions = versions
        self._workspace = workspace
        self._effort = effort
        self._warnings = warnings
        self._losses: Counter[tuple[str, bool]] = Counter()

    def leave_out_known(self) -> None:
        """Leave out the losses that earlier runs recorded.

        Raises:
            InputError: there are some, and the setup is strict.
        """
        for loss in self._workspace.cache.losses:
            self._leave_out(loss)

    def leave_out_lost(self, failures: Mapping[int, InputError]) -> bool:
        """Leave out sources that cannot be fetched, from their beginning; False when none of them is new.

        Raises:
            InputError: there are some, and the setup is strict; or no source is left.
        """
        failed = {source: str(error) for source, error in failures.items() if source not in self.lost}
        for source, reason in failed.items():
            self.lost[source] = reason
            message = f"{self.setup.plan.sources[source].key} is left out: {reason}"
            self.setup.report_problem(message, self._warnings.warn_lost)
            for is_sound in (True, False):
                plan = self.setup.plan.without_source(source, Fraction(0), sound=is_sound)
                self.setup = replace(self.setup, plan=plan)
        if failed and len(self.lost) == len(self.setup.plan.sources):
            raise InputError("no recording is left: none could be fetched")
        return bool(failed)

    def raise_if_fatal(self, ending: Ending) -> None:
        """Raise the error with which an ending fails the job, if it does.

        Raises:
            MixError: the job fails.
        """
        for decision in decide(ending, self._state):
            if isinstance(decision, Fail):
                raise decision.error

    def recover(self, failed: Sequence[Failed], composed: CompositionProgress) -> None:
        """Change setup and effort by what has failed.

        Raises:
            MixError: the job fails.
        """
        before = self.setup
        losses = [loss for outcome, ending in failed for loss in self._handle(outcome, ending, composed)]
        self._losses.update({(loss.version, loss.is_sound) for loss, _ in losses})
        for loss, is_proven in sorted(losses, key=lambda found: found[0].file_s):
            if self._leave_out(loss) and is_proven:
                self._workspace.cache.add_loss(loss)
        if self.setup.plan == before.plan:
            self._repeat_useless(failed, composed)

    @property
    def _state(self) -> FailureState:
        return FailureState(self.setup.device, self.setup.can_reencode, self._effort.restarted, self._effort.shortages)

    def _repeat_useless(self, failed: Sequence[Failed], composed: CompositionProgress) -> None:
        """Count failures of sources that are in no part of the plan as deaths: else they would be repeated for ever."""
        useless = Death(DeathKind.PROTOCOL, "reports a failure of what it does not use")
        for outcome, ending in failed:
            if ending.stops and not (ending.shortage or ending.error or ending.death):
                list(self._handle(outcome, replace(ending, stops=(), death=useless, culprits=()), composed))

    def _handle(
        self, outcome: Outcome[TrackTask], ending: Ending, composed: CompositionProgress
    ) -> Iterable[tuple[SourceLoss, bool]]:
        """Carry out the decisions about an ending; yields the losses of sources, and whether each is proven.

        Raises:
            MixError: the job fails.
        """
        for decision in decide(ending, self._state):
            match decision:
                case TrySuspects():
                    found = try_suspects(self._workspace.executor, outcome)
                    ending = replace(ending, culprits=found.culprits, greediest=found.greediest)
                    yield from self._handle(outcome, ending, composed)
                case LeaveOut(source, at_s, is_sound, message):
                    offset_s = self.setup.plan.offset_s(source, sound=is_sound)
                    version = self._versions.sources[source]
                    start_s = at_s if self._losses[version, is_sound] < MOST_LOSSES else Fraction(0)
                    yield SourceLoss(version, start_s - offset_s, is_sound, message), decision.proven
                case GiveUpGpu():
                    self._warnings.warn_restarted(decision.warning)
                    self.setup = replace(self.setup, device=decision.device)
                case GiveUpGpuEncoder():
                    self._warnings.warn_restarted(decision.warning)
                    self.setup = replace(self.setup, plan=self.setup.plan.without_gpu_encoder())
                    composed.restart()
                case Retry() | RetryWithLess():
                    self._warnings.warn_restarted(decision.warning)
                    self._effort.repeat(decision)
                case Fail():
                    raise decision.error

    def _leave_out(self, loss: SourceLoss) -> bool:
        """Remove a loss from the plan; False when the plan does not use that part of the recording.

        Raises:
            InputError: the plan uses it, and the setup is strict.
        """
        before = self.setup.plan
        for source, version in enumerate(self._versions.sources):
            if version == loss.version:
                plan = self.setup.plan
                at_s = loss.file_s + plan.offset_s(source, sound=loss.is_sound)
                plan = plan.without_source(source, at_s, sound=loss.is_sound)
                self.setup = replace(self.setup, plan=plan)
        if self.setup.plan == before:
            return False
        self.setup.report_problem(loss.message, self._warnings.warn_damaged)
        return True
