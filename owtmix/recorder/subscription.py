"""What of a room is recorded: the rules of the job (``plan.subscription``), before there is an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from pydantic import ValidationError

from owtmix.base.strict_json import json_path
from owtmix.jobfile.assemble import subscription_spec
from owtmix.jobfile.mixer_models import SubscribeConfig
from owtmix.jobfile.problems import ProblemCollector
from owtmix.jobfile.spec import MediaChannel, StreamFilter, SubscriptionSpec

NOTHING: Final = 0
"""The ``MediaChannel`` of a room that is received and not recorded."""

_NOBODY: Final = StreamFilter(only=frozenset(), without=frozenset())


@dataclass(frozen=True, slots=True)
class Subscription:
    """Whose sound and picture are recorded; ``plan.subscription`` takes it in place of a job."""

    channel: MediaChannel
    subscription: SubscriptionSpec

    @classmethod
    def from_json(cls, media_channel: int, subscribe: Mapping[str, Any]) -> Self:
        """From ``MediaChannel``, or ``NOTHING``, and ``SubscribeConfig`` of the document.

        Raises:
            ValueError: A value is wrong; the message says which.
        """
        try:
            channel = MediaChannel(media_channel or MediaChannel.BOTH)
            model = SubscribeConfig.model_validate(subscribe)
        except ValidationError as error:
            where = {json_path(("SubscribeConfig", *found["loc"])) for found in error.errors()}
            raise ValueError(f"{', '.join(sorted(where))}: the value is wrong") from None
        except ValueError:
            raise ValueError("MediaChannel is 1 (sound), 2 (picture) or 3 (both)") from None
        collector = ProblemCollector({"Data": {"SubscribeConfig": subscribe}})
        spec = subscription_spec(model, collector)
        if collector.problems:
            raise ValueError("; ".join(f"{problem.path}: {problem.message}" for problem in collector.problems))
        if media_channel == NOTHING:
            spec = replace(spec, audio=_NOBODY, video=_NOBODY)
        return cls(channel, spec)
