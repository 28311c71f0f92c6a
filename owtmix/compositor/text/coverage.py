"""Glyph coverage: the fonts that the texts of a plan need, and characters that no font has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from owtmix.base.named_file import read_named_file
from owtmix.base.wording import some
from owtmix.compositor.text.letters import clean
from owtmix.jobfile.spec import TextWatermark
from owtmix.plan.model import FontFile, PicturePlan, RenderPlan

MOST_FONT_BYTES: Final = 256 << 20
"""More than any font has: those with all of Chinese have about 100 MiB."""
_SUFFIXES: Final = frozenset({".ttf", ".otf", ".ttc"})


def with_fonts(plan: RenderPlan, places: Sequence[Path], warn: Callable[[str], None]) -> RenderPlan:
    """The plan with the fonts from ``places``, folders and files, that its texts need beside the package's own.

    All names count: any recording may fail, and its placeholder be drawn.
    """
    if plan.picture is None or not places:
        return plan
    texts = [watermark.text for watermark in plan.picture.watermarks if isinstance(watermark, TextWatermark)]
    names = (plan.picture.names.get(stream, stream.user) for stream in plan.picture.shots)
    fonts = find_fonts([*texts, *names], places, warn)
    return replace(plan, picture=replace(plan.picture, fonts=fonts))


def find_fonts(texts: Iterable[str], places: Sequence[Path], warn: Callable[[str], None]) -> tuple[FontFile, ...]:
    """The fonts from ``places`` that have the characters of ``texts`` that the package's fonts lack.

    Places are folders and files, searched in order, and folders in the order of file names. ``warn`` gets a message
    for each that cannot be read.
    """
    non_ascii = "\n".join(text for text in texts if not text.isascii())  # the package's fonts cover ASCII
    if not non_ascii:
        return ()
    # Imported here: most jobs need no fonts, and loading them takes time.
    from owtmix.compositor.text.fonts import faces_in  # noqa: PLC0415
    from owtmix.compositor.text.missing_glyphs import missing_chars  # noqa: PLC0415

    missing = set(missing_chars(non_ascii))
    fonts = []
    for path in _font_files(places, warn):
        if not missing:
            break
        try:
            data = read_named_file(path, MOST_FONT_BYTES)
        except OSError as error:
            warn(f"the font {path} cannot be read: {error.strerror}")
            continue
        if len(data) > MOST_FONT_BYTES:
            warn(f"the font {path} cannot be read: it has more than {MOST_FONT_BYTES >> 20} MiB")
            continue
        for number, face in faces_in(data):
            if found := set(filter(face.has, missing)):
                missing -= found
                fonts.append(FontFile(str(path), number, sha256(data).hexdigest(), "".join(sorted(found))))
    return tuple(fonts)


def needed_fonts(texts: Iterable[str], fonts: Sequence[FontFile]) -> tuple[FontFile, ...]:
    """Those of a plan's ``fonts`` that ``texts`` need, without their ``chars``: no other text of the plan matters."""
    chars = {char for text in texts if not text.isascii() for char in clean(text)} if fonts else set()
    return tuple(replace(font, chars="") for font in fonts if not chars.isdisjoint(font.chars))


def missing_glyph_warnings(picture: PicturePlan | None) -> Iterator[str]:
    """A warning for each text with characters that no font has; they are not drawn."""
    if picture is None:
        return
    texts = {
        watermark.text: "a text watermark" for watermark in picture.watermarks if isinstance(watermark, TextWatermark)
    }
    labelled = {tile.stream for scene in picture.scenes for tile in scene.tiles if tile.label}
    for stream, shots in picture.shots.items():
        if stream in labelled or any(shot.source is None for shot in shots):
            where = "label" if stream in labelled else "placeholder"
            texts.setdefault(picture.names.get(stream, stream.user), f"the {where} of {stream}")
    for text, where in texts.items():
        if not text.isascii():  # covered by every font
            # Imported here: most jobs need no fonts, and loading them takes time.
            from owtmix.compositor.text.fonts import fonts_of  # noqa: PLC0415
            from owtmix.compositor.text.missing_glyphs import missing_glyphs  # noqa: PLC0415

            if missing := missing_glyphs(text, fonts_of(needed_fonts([text], picture.fonts))):
                yield f"no font has {some(missing)}: left out of {where}"


def _font_files(places: Sequence[Path], warn: Callable[[str], None]) -> Iterator[Path]:
    for folder in places:
        if folder.suffix.lower() in _SUFFIXES and not folder.is_dir():
            yield folder
            continue
        try:
            yield from sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
        except OSError as error:
            warn(f"the fonts in {folder} cannot be read: {error.strerror}")
