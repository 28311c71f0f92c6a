"""The bench, one for a whole run, so that a take which several rooms share is made once."""

from __future__ import annotations

import pytest

from tests.e2e.bench import Bench
from tests.storage.conftest import client, service, swift

__all__ = ["bench", "client", "service", "swift"]


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("rooms"))
