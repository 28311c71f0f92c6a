"""The frames that a reader decodes, noted without replacing anything."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from owtmix.media.video_frame import DecodedFrame, describe_frame

T = TypeVar("T")


@contextmanager
def noting_frames(note: Callable[[DecodedFrame], T]) -> Iterator[list[T]]:
    """Collects the result of ``note`` for each frame that this thread decodes and describes.

    A profile function sees what ``describe_frame`` returns. The frames themselves would fill the memory.
    """
    found: list[T] = []

    def see(frame: FrameType, event: str, returned: object) -> None:
        if event == "return" and frame.f_code is describe_frame.__code__:
            assert isinstance(returned, DecodedFrame)
            found.append(note(returned))

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        yield found
    finally:
        sys.setprofile(before)
