"""The table of all files of ``../shared/media``, one row each.

The values are from ``MANIFEST.tsv`` and from packets and boxes read with PyAV, never from owtmix. Durations stated by
containers are not listed: many are missing or wrong, and none is used.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.corpus import recordings, specimens
from tests.corpus.row import MEDIA

needs_media: Final = pytest.mark.skipif(not MEDIA.is_dir(), reason="no ../shared/media beside the checkout")
"""Marks tests that read the files."""

ROWS: Final = (
    *recordings.chrome(),
    *recordings.recorders(),
    *recordings.editing(),
    *specimens.pictures(),
    *specimens.sounds(),
    *specimens.damaged(),
    *specimens.unusable(),
)
USABLE: Final = tuple(row for row in ROWS if not row.left_out)
LEFT_OUT: Final = tuple(row for row in ROWS if row.left_out)
