"""Reads a file up to where its packets end: demuxers search all that follows for more, however long it is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from owtmix.media.file_view import FileView

MOST_UNUSED_BYTES: Final = 256 << 20
"""A file ends where so much was read without a packet. Tables of a day take less, and so do damaged places."""
PACKET_BYTES: Final = 64 << 10
"""What may be read for a packet besides its own bytes: demuxers read in blocks, and some of them twice."""
SIZE_BYTES: Final = 512
"""Asking for the size costs as much as reading so much."""


class BoundedFile(FileView):
    """The file ``path`` up to byte ``end``, None for all of it; and no further than packets are found.

    ``most_unused_bytes`` may be read to open it, and as many without a packet, all of them together: from there on the
    file seems to end.
    """

    def __init__(self, path: Path, end: int | None = None, most_unused_bytes: int = MOST_UNUSED_BYTES) -> None:
        super().__init__(path, end)
        self._most = self._left = most_unused_bytes
        self._reached = 0
        self.end_bytes: int | None = None
        """Where the file ended for want of packets: all of them lie before."""
        self._end_of_packets = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:  # a demuxer of WAV asks for the size at every chunk, of which 8 bytes may be one
            self._left -= SIZE_BYTES
        return super().seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """As ``FileView.read``; nothing where no packets are."""
        if self._left <= 0 and self._at < self._size:
            self.end_bytes = self._end_of_packets
            return b""
        data = super().read(size)
        self._left -= len(data)
        self._reached = max(self._reached, self._at)
        return data

    def note_opened(self) -> None:
        """Note that the file was opened: a demuxer of WAV has looked for tags to the end, and goes back."""
        # What opening has read for nothing does not count. Tables of MP4 may lie behind all packets.
        self._end_of_packets = 0 if self.end_bytes is not None else self._reached
        self._left, self.end_bytes = self._most, None

    def note_packet(self, position: int, size: int) -> None:
        """Note that a packet of ``size`` bytes was found near byte ``position``: as much more may be read."""
        self._left += size + PACKET_BYTES
        self._end_of_packets = max(self._end_of_packets, position + size + PACKET_BYTES)


def bounded_file(path: Path) -> BoundedFile | None:
    """A file that is so large that it has to be bounded; None for others.

    Raises:
        InputError, ShortageError: as ``FileView``.
    """
    file = BoundedFile(path)
    if file.whole_size > MOST_UNUSED_BYTES:
        return file
    file.close()
    return None
