"""What of a room is recorded: the rules of the job (``plan.subscription``), before there is an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from owtmix.base.strict_json import json_path
from owtmix.jobfile.assemble import subscription_spec
from owtmix.jobfile.mixer_models import SubscribeConfig
from owtmix.jobfile.problems import ProblemCollector
from owtmix.jobfile.spec import MediaChannel, SubscriptionSpec


@dataclass(frozen=True, slots=True)
class Subscription:
    """Whose sound and picture are recorded; ``plan.subscription`` takes it in place of a job."""

    channel: MediaChannel
    subscription: SubscriptionSpec

    @classmethod
    def from_json(cls, media_channel: int, subscribe: Mapping[str, Any]) -> Self:
        """From ``MediaChannel`` and ``SubscribeConfig`` of the document.

        Raises:
            ValueError: A value is wrong; the message says which.
        """
        try:
            channel = MediaChannel(media_channel)
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
        return cls(channel, spec)
