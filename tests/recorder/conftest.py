"""Fixtures: a real S3 service, and an installation that composes rooms."""

from __future__ import annotations

from tests.storage.conftest import Service, client, proxy, service, swift
from tests.support.fixtures import children_know_the_tests, command, job_id

__all__ = ["Service", "children_know_the_tests", "client", "command", "job_id", "proxy", "service", "swift"]
