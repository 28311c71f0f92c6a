"""The recipes in ``deploy/``, and the linters that the extra ``dev`` installs beside Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = ROOT / "Dockerfile"
GRACE_S: Final = 90
"""``owt-batch --grace``, in all recipes."""


def tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).parent / name)


def read_yaml(name: str) -> dict[str, Any]:
    """The one document of a file in ``deploy/``."""
    document = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document
