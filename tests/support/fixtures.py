"""Fixtures that tests of several packages use. The ``conftest.py`` of each such folder imports those it needs.

Pytest runs an autouse fixture only for the folders whose ``conftest.py`` imports it.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from owtmix.jobfile.settings_file import INSTALLATION
from tests.support.command import TINY, Command, install, record_once


def new_job_id(folder: Path) -> str:
    """A job of ``folder`` alone: two tests may run at a time, and two people on one machine may run all of them."""
    return f"{folder.name[-60:]}-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """An installation, in a path with spaces."""
    return install(tmp_path_factory.mktemp("an installation") / "owt mix")


@pytest.fixture
def job_id(tmp_path: Path) -> str:
    """The id of a job that no other test has."""
    return new_job_id(tmp_path)


@pytest.fixture
def tiny(tmp_path: Path, job_id: str) -> Path:
    """The job file of a room of one and a half seconds."""
    return TINY.write(tmp_path / "room", job_id, record_once)


@pytest.fixture(autouse=True)
def children_know_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let child processes import the tests' own tasks."""
    monkeypatch.setenv("PYTHONPATH", str(INSTALLATION))
