"""Fixtures: a bench per session, so that shared takes are encoded once, and a job in an S3 store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.bench import Bench
from tests.e2e.stored import Stored, install_quick, lay_out
from tests.storage.conftest import Service, client, proxy, service, swift
from tests.storage.fault_proxy import FaultProxy
from tests.support.command import Command
from tests.support.fixtures import job_id
from tests.support.gpu import devices

__all__ = ["bench", "client", "job_id", "proxy", "service", "stored", "swift"]


@pytest.fixture(scope="session", params=devices())
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("rooms"), request.param)


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """An installation, in a path with spaces, with short pauses between attempts at a store."""
    return install_quick(tmp_path_factory.mktemp("an installation") / "owt mix")


@pytest.fixture
def stored(command: Command, service: Service, proxy: FaultProxy, tmp_path: Path, job_id: str) -> Stored:
    return lay_out(command, service, proxy, tmp_path / "job", job_id)
