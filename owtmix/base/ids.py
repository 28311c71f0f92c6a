"""Identifiers that every part of the program uses."""

from __future__ import annotations

from dataclasses import dataclass

from owtmix.base.strict_json import CONTROL


@dataclass(frozen=True, slots=True, order=True)
class StreamId:
    """``user_type`` of the API document (1.2): type 1 is a camera, 2 a screen."""

    user: str
    type: int

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """Split ``user_type`` at its last underscore, since a user id may contain some.

        Raises:
            ValueError: when the user is empty or holds control characters, or the type is neither 1 nor 2.
        """
        user, _, kind = text.rpartition("_")
        if not user or CONTROL.search(user) or kind not in {"1", "2"}:
            raise ValueError('a stream id "user_type", where the type is 1 (camera) or 2 (screen)')
        return cls(user, int(kind))

    @property
    def is_screen(self) -> bool:
        return self.type == 2  # noqa: PLR2004

    def __str__(self) -> str:
        return f"{self.user}_{self.type}"
