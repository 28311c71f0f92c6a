"""A site for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch.stand_in import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder with the stand-in, and no job."""
    site = Site(tmp_path)
    site.set_up()
    return site
