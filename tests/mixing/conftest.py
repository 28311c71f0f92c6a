"""Fixtures: an installation that composes rooms."""

from __future__ import annotations

from tests.support.fixtures import children_know_the_tests, command, job_id

__all__ = ["children_know_the_tests", "command", "job_id"]
