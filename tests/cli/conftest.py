"""An installation and a room for tests of the command."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.command import TINY, Command, install, record_once


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return install(tmp_path_factory.mktemp("an installation") / "owt mix")


@pytest.fixture
def job_id(tmp_path: Path) -> str:
    """A unique job id: tests, and test runs, may run concurrently on one machine."""
    return f"{tmp_path.name[-80:]}-{uuid4().hex[:12]}"


@pytest.fixture
def tiny(tmp_path: Path, job_id: str) -> Path:
    """The job file of a room of 1.5 s."""
    return TINY.write(tmp_path / "room", job_id, record_once)
