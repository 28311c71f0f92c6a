"""What is said when a room's recordings cannot be used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from owtmix.base.errors import InputError
from owtmix.jobs.prepare import gather_inputs


@pytest.mark.parametrize(
    ("clips", "said"),
    [
        ((), "no recording is left: a.webm is left out: it is empty\nb.webm is left out: it is missing"),
        (("c.webm",), "a.webm is left out: it is empty\nb.webm is left out: it is missing"),
    ],
)
def test_that_nothing_is_left_is_said_in_the_first_line(clips: tuple[str, ...], said: str) -> None:
    """The only one that a batch shows."""
    left_out = (("a.webm", "it is empty"), ("b.webm", "it is missing"))
    found = SimpleNamespace(left_out=left_out, clips=clips, warnings=())
    gatherer = SimpleNamespace(recordings=lambda *_, **__: found)
    indexed: Any = SimpleNamespace(gatherer=gatherer, recordings=(), spec=SimpleNamespace(video=None))
    run: Any = SimpleNamespace(
        announcer=SimpleNamespace(warn=None),
        progress=None,
        request=SimpleNamespace(options=SimpleNamespace(strict=True)),
    )
    with pytest.raises(InputError) as raised:
        gather_inputs(run, indexed)
    assert raised.value.message == said
