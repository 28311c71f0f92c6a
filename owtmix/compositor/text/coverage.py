"""What a plan writes on pictures, and whether the fonts have it."""

from __future__ import annotations

from collections.abc import Iterator

from owtmix.jobfile.spec import TextWatermark
from owtmix.plan.model import Picture


def unwritable(picture: Picture | None) -> Iterator[str]:
    """A warning for each text that holds characters which no font has; they are left out."""
    if picture is None:
        return
    texts = {mark.text: "a text watermark" for mark in picture.watermarks if isinstance(mark, TextWatermark)}
    for stream, shots in picture.shots.items():
        if any(shot.source is None for shot in shots):
            texts.setdefault(stream.user, f"the card of {stream}")
    for text, where in texts.items():
        if not text.isascii():  # which every font has
            # Imported here, since most jobs need not wait for the fonts to load.
            from owtmix.compositor.text.render import missing_glyphs  # noqa: PLC0415

            if missing := missing_glyphs(text):
                yield f"no font has {', '.join(missing)}: left out of {where}"
