"""Chunks whose worker finds no card any more, though the job chose it. Workers import this module."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from owtmix.produce.tasks import AudioTask, ChunkTask, RenderSetup, SuspectTask
from owtmix.render.context import RenderContext


@dataclass(frozen=True, slots=True)
class TakenSetup(RenderSetup):
    """Hides all cards from the worker before anything is opened."""

    def load(self) -> RenderContext:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return RenderSetup.load(self)


def taken_from_workers(task: Any) -> Any:
    """The task to do in place of ``task``."""
    if isinstance(task, (ChunkTask, AudioTask, SuspectTask)):
        setup = task.setup
        return replace(task, setup=TakenSetup(setup.plan, setup.files, setup.images, setup.strict, setup.device))
    return task
