"""Owtmix turns a room's recordings into one finished video.

The public API does what the command ``owt-main`` does, and raises the same errors::

    import owtmix

    result = owtmix.compose("room/cfg.json", owtmix.Options(output="./talk.mp4"))
    print(result.output, result.duration_s, result.warnings)

Importing this package loads nothing; a name is loaded when it is used. Settings are those of ``conf/owt.toml``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    from owtmix.base.errors import (
        BusyError,
        DestinationError,
        InputError,
        Interrupted,
        MixError,
        RenderError,
        SpecError,
        StoreError,
    )
    from owtmix.base.progress import Progress
    from owtmix.jobs.api import compose, plan, preview, probe
    from owtmix.jobs.options import Options
    from owtmix.jobs.result import JobResult
    from owtmix.plan.input_report import InputReport
    from owtmix.plan.model import RenderPlan

__all__ = [
    "BusyError",
    "DestinationError",
    "InputError",
    "InputReport",
    "Interrupted",
    "JobResult",
    "MixError",
    "Options",
    "Progress",
    "RenderError",
    "RenderPlan",
    "SpecError",
    "StoreError",
    "compose",
    "plan",
    "preview",
    "probe",
]

_HOMES: Final = {
    **dict.fromkeys(
        (name for name in __all__ if name.endswith("Error") or name == "Interrupted"), "owtmix.base.errors"
    ),
    **dict.fromkeys(("compose", "preview", "probe"), "owtmix.jobs.api"),
    "InputReport": "owtmix.plan.input_report",
    "JobResult": "owtmix.jobs.result",
    "Options": "owtmix.jobs.options",
    "Progress": "owtmix.base.progress",
    "RenderPlan": "owtmix.plan.model",
}


class _PlanPackage(ModuleType):
    """The subpackage ``owtmix.plan``. It has the name of a function of the public API, so it is that function, too."""

    def __call__(self, job_file: Path | str, options: Options | None = None) -> RenderPlan:
        """Plan a job's output: ``owtmix.jobs.api.plan``."""
        from owtmix.jobs import api  # noqa: PLC0415 - loaded when it is used

        return api.plan(job_file, options) if options else api.plan(job_file)


class _Package(ModuleType):
    """This package. Python binds each subpackage here when it is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "plan" and type(value) is ModuleType:
            value.__class__ = _PlanPackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "plan":
        return import_module("owtmix.plan")
    if home := _HOMES.get(name):
        return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
