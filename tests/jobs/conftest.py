"""The command and its room, as in the tests of the command line."""

from __future__ import annotations

from tests.support.fixtures import command, job_id, tiny

__all__ = ["command", "job_id", "tiny"]
