"""The recipes in ``deploy/``, and the linters that the extra ``dev`` installs beside Python."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from owtmix.batch.arguments import Arguments, read_arguments

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = ROOT / "Dockerfile"
GRACE_S: Final = 90
"""``owt-batch --grace``, in all recipes."""


def tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).parent / name)


def batch_arguments(command: Sequence[str]) -> Arguments:
    """The arguments of an ``owt-batch`` in a recipe."""
    at = next(number for number, word in enumerate(command) if word.endswith("owt-batch"))
    return read_arguments(command[at + 1 :])


def without_cluster(command: Sequence[str]) -> list[str]:
    """A command of a recipe for Ray, less ``--cluster auto``."""
    at = command.index("--cluster")
    assert command[at + 1] == "auto"
    return [*command[:at], *command[at + 2 :]]


def read_yaml(name: str) -> dict[str, Any]:
    """The one document of a file in ``deploy/``."""
    document = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document
