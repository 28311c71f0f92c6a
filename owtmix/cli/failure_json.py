"""Failures as JSON for programs, and when a command prints JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from owtmix.base.errors import MixError
from owtmix.base.standard_output import is_terminal


def prints_json(argv: Sequence[str]) -> bool:
    """Whether the result of a command with the arguments ``argv`` is JSON."""
    asks_quiet = any(argument in {"-q", "--quiet"} for argument in argv)
    return "--json" in argv or not (asks_quiet or is_terminal())


def failure(error: MixError, job_id: str | None) -> dict[str, Any]:
    """A failure as JSON values: whose turn it is (``exit_status``), the ``RetCode`` of the API, and every problem."""
    problems = [
        {"path": problem.path, "message": problem.message, "code": problem.code}
        for problem in getattr(error, "problems", ())
    ]
    return {
        "error": {
            "type": type(error).__name__,
            "message": str(error),
            "exit_status": error.exit_status,
            "code": error.code,
            "job_id": job_id,
            "problems": problems,
        }
    }
