"""An installation and a room for tests of the command."""

from __future__ import annotations

from tests.support.fixtures import command, job_id, tiny

__all__ = ["command", "job_id", "tiny"]
