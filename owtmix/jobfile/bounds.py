"""How long texts, and how many entries lists, in a job file and an index may be (docs/job-file.md, "Bounds")."""

from __future__ import annotations

from typing import Final

MAX_JOB_BYTES: Final = 2**20
MAX_INDEX_BYTES: Final = 16 * 2**20
MAX_SETTINGS_BYTES: Final = 2**16

MAX_NAME: Final = 256
"""In characters, of an id or a name. File names have at most 255."""
MAX_SECRET: Final = 4096
"""In characters, of a token or an access key."""
MAX_URL: Final = 4096
"""In characters; a signed URL takes up to 2,000. Splitting one takes the square of the combining marks in it."""
MAX_PATH: Final = 4096
"""In characters, of a folder; Linux accepts as many bytes."""
MAX_TEXT: Final = 1000
"""In characters, of a text watermark: it is one line of the picture."""

MAX_RECORDINGS: Final = 10_000
"""Of an index; a list of streams has as many entries at most."""
MAX_POSITIONS: Final = 128
MAX_STREAMS: Final = 64
"""Subscribed at a time."""
MAX_UPDATES: Final = 5_000
"""Of a room; a file of updates has as many bytes as an index at most."""
MAX_UPDATE_LINES: Final = 100_000
"""Of a file of updates; most may be empty."""
MAX_TILES: Final = 64
"""Of a template, as there are streams at most."""
MAX_TEMPLATES: Final = 64
"""One for each number of streams."""
MAX_PAGE: Final = 49
"""Tiles of a page."""
MAX_GAP: Final = 256
"""In pixels, between tiles and of their corners."""
MAX_WATERMARKS: Final = 32
MAX_ROOM_IMAGES: Final = 64
"""Different watermark images of all updates of a room: each is fetched, perhaps from a host that does not answer."""
MAX_ROOM_TEXTS: Final = 256
"""Different watermark texts of all updates of a room: each is laid out before anything is composed."""
MAX_CLOCKS: Final = 8
"""Clocks are drawn anew every second."""
MAX_RECEIVERS: Final = 32
MAX_Z: Final = 2**31 - 1

MAX_SHOWN: Final = 100
"""Problems and unknown keys of a job file that are shown. The others are counted."""
