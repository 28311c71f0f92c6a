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
    from owtmix.base.errors import DestinationError, InputError, MixError, RenderError, SpecError
    from owtmix.jobs.api import compose, plan, preview, probe
    from owtmix.jobs.options import Options
    from owtmix.jobs.result import JobResult

__all__ = [
    "DestinationError",
    "InputError",
    "JobResult",
    "MixError",
    "Options",
    "RenderError",
    "SpecError",
    "compose",
    "plan",
    "preview",
    "probe",
]

_ERRORS: Final = ("DestinationError", "InputError", "MixError", "RenderError", "SpecError")
_HOMES: Final = {
    **dict.fromkeys(_ERRORS, "owtmix.base.errors"),
    **dict.fromkeys(("compose", "plan", "preview", "probe"), "owtmix.jobs.api"),
    "Options": "owtmix.jobs.options",
    "JobResult": "owtmix.jobs.result",
}


class _Package(ModuleType):
    """Keeps ``owtmix.plan`` the function: Python would bind the subpackage of that name here once it is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "plan":
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
