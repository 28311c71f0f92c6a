"""The picture of a job: ``Video`` and ``MixerConfig``, checked against each other."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from owtmix.base.colour import Colour
from owtmix.base.geometry import Anchor, Area, Rect, ResizeMode, Size, even
from owtmix.base.strict_json import Loc, shown
from owtmix.jobfile.bounds import MAX_CLOCKS
from owtmix.jobfile.encoding_models import TranscodingConfig
from owtmix.jobfile.mixer_models import MixerConfig, Region, TemplateTile, WaterMark
from owtmix.jobfile.models import Data
from owtmix.jobfile.problems import ProblemCollector
from owtmix.jobfile.spec import (
    ClockWatermark,
    ImageWatermark,
    LayoutStyle,
    MediaChannel,
    MixerSpec,
    Position,
    TextWatermark,
    VideoSpec,
    Watermark,
)
from owtmix.jobfile.types import is_http_url

IMAGE: Final = 2
"""The ``Type`` of a watermark that is an image."""
TEXT: Final = 3
"""The ``Type`` of a watermark that is a text."""
FAINT_ALPHA: Final = Decimal("0.2")
"""A watermark below this opacity is nearly invisible."""

_PROFILES: Final[dict[str, Literal["baseline", "main", "high"]]] = {
    "baseline": "baseline",
    "main": "main",
    "high": "high",
    "highprofile": "high",
    "highprodile": "high",
}
_ADDRESS: Final = re.compile(r"://|^//|^https?:", re.IGNORECASE)
"""In what is meant as an address, and is no key of a store."""
_VIDEO: Final[Loc] = ("Data", "TranscodingConfig", "Video")
_MIXER: Final[Loc] = ("Data", "MixerConfig")


def video_spec(model: TranscodingConfig, channel: MediaChannel, collector: ProblemCollector) -> VideoSpec | None:
    """The video encoding; None when the job has no picture, or its size is missing."""
    video = model.video
    if video.profile == "highprodile":
        collector.warn((*_VIDEO, "Profile"), '"highprodile" is a misprint of the API document; read as "highprofile"')
    if video.bit_rate and "bit_rate" in model.model_fields_set and video.bit_rate != model.bit_rate:
        collector.warn(("Data", "TranscodingConfig", "Bitrate"), f"not used: Video.BitRate is {video.bit_rate}")
    size = _canvas(model)
    if channel is MediaChannel.AUDIO:
        return None
    for key, value in (("Width", video.width), ("Height", video.height)):
        if value is None and collector.is_clean((*_VIDEO, key)):
            collector.wrong_value((*_VIDEO, key))
    if not size:
        return None
    return VideoSpec(
        size=size,
        fps=video.fps,
        bit_rate_kbps=video.bit_rate or model.bit_rate,
        profile=_PROFILES[video.profile],
    )


def mixer_spec(
    mixer: MixerConfig,
    data: Data,
    channel: MediaChannel,
    collector: ProblemCollector,
    templates: tuple[tuple[Area, ...], ...] | None = None,
) -> MixerSpec:
    """Layout and watermarks. Positions are checked against the canvas when its size is known.

    ``templates`` are those of the mixer, where they were assembled before.
    """
    canvas = _canvas(data.transcoding)
    manual = bool(data.subscribe.video_stream_type)
    style = LayoutStyle(mixer.layout)
    templates = _templates(mixer, canvas, collector) if templates is None else templates
    positions = _positions(mixer, canvas, collector)
    shown = channel is not MediaChannel.AUDIO
    if shown and manual:
        for key, value in (
            ("FollowSpeaker", mixer.follow_speaker),
            ("ScreenFirst", mixer.screen_first),
            ("PageSize", mixer.page_size),
            ("Gap", mixer.gap_px),
        ):
            if value:
                collector.warn((*_MIXER, key), "not used: positions are manual (VideoStreamType 1)")
    if shown and manual and not mixer.positions and collector.is_clean((*_MIXER, "PositionConfig")):
        collector.problem((*_MIXER, "PositionConfig"), "manual mode (VideoStreamType 1) needs at least one entry")
    custom = style is LayoutStyle.CUSTOM and not manual
    if shown and custom and not templates and collector.is_clean((*_MIXER, "LayoutConfig"), (*_MIXER, "Layouts")):
        collector.problem((*_MIXER, "LayoutConfig"), "MixedVideoLayout 0 needs at least one template")
    return MixerSpec(
        max_resolution_stream=mixer.max_resolution_stream,
        background=Colour(mixer.background.r, mixer.background.g, mixer.background.b),
        resize_mode=ResizeMode(mixer.resize_mode),
        layout=style,
        templates=templates,
        positions=positions,
        watermarks=_watermarks(mixer, canvas, collector),
        labels=mixer.labels,
        follow_speaker=mixer.follow_speaker,
        screen_first=mixer.screen_first,
        speaker_border=mixer.speaker_border,
        audio_only=mixer.show_audio_only,
        page_size=mixer.page_size,
        page_s=Fraction(mixer.page_s),
        corner_px=mixer.corner_px,
        gap_px=_gap(mixer, collector),
        transition_s=Fraction(mixer.transition_s),
    )


def _gap(mixer: MixerConfig, collector: ProblemCollector) -> int:
    """The gap between tiles, whose edges are even."""
    if mixer.gap_px % 2:
        collector.warn((*_MIXER, "Gap"), f"odd numbers are rounded to even ones: {mixer.gap_px} to {mixer.gap_px + 1}")
    return mixer.gap_px + mixer.gap_px % 2


def _canvas(model: TranscodingConfig) -> Size | None:
    width, height = model.video.width, model.video.height
    return Size(width, height) if width and height else None


def _templates(mixer: MixerConfig, canvas: Size | None, collector: ProblemCollector) -> tuple[tuple[Area, ...], ...]:
    name, templates = ("LayoutConfig", mixer.layout_config) if mixer.layout_config else ("Layouts", mixer.layouts)
    if mixer.layout_config and mixer.layouts:
        collector.warn((*_MIXER, "Layouts"), "not used: LayoutConfig is given too")
    return tuple(_template(tiles, (*_MIXER, name, i), canvas, collector) for i, tiles in enumerate(templates))


def _template(
    tiles: list[TemplateTile], loc: Loc, canvas: Size | None, collector: ProblemCollector
) -> tuple[Area, ...]:
    areas = []
    ids: set[str] = set()
    for i, tile in enumerate(tiles):
        if tile.id in ids:
            collector.problem((*loc, i, "Id"), f"{shown(tile.id)} is the Id of another tile of this template")
        ids.add(tile.id)
        place = (*loc, i, "Area")
        if collector.is_clean(place):
            areas.append(_area(tile, place, canvas, collector))
    return tuple(areas)


def _area(tile: TemplateTile, loc: Loc, canvas: Size | None, collector: ProblemCollector) -> Area:
    area = Area(tile.area.left, tile.area.top, tile.area.width, tile.area.height)
    for side, start, length in (("Width", area.left, area.width), ("Height", area.top, area.height)):
        if start + length > 1:
            collector.problem((*loc, side), f"{start} + {length} = {start + length} reaches past the canvas; at most 1")
        elif not length:
            collector.problem((*loc, side), "found 0; accepted: more than 0")
    if canvas and collector.is_clean(loc) and not area.on(canvas).area:
        collector.problem(loc, f"smaller than two pixels on a canvas of {canvas}")
    return area


def _positions(mixer: MixerConfig, canvas: Size | None, collector: ProblemCollector) -> tuple[Position, ...]:
    positions = []
    for i, position in enumerate(mixer.positions):
        loc = (*_MIXER, "PositionConfig", i)
        if position.stream and collector.is_clean((*loc, "Region")):
            region = _region(position.region, (*loc, "Region"), canvas, collector)
            positions.append(Position(position.stream, region, position.region.z))
    return tuple(positions)


def _region(model: Region, loc: Loc, canvas: Size | None, collector: ProblemCollector) -> Rect:
    """The region, rounded to even edges inside the canvas."""
    written = Rect(model.x, model.y, model.width, model.height)
    if not canvas:
        return written
    for side, start, length, limit in (
        ("Width", written.x, written.width, canvas.width),
        ("Height", written.y, written.height, canvas.height),
    ):
        if start + length > limit:
            collector.problem(
                (*loc, side), f"{start} + {length} = {start + length} reaches past the canvas; at most {limit}"
            )
    x, width = _even_span(written.x, written.width, canvas.width)
    y, height = _even_span(written.y, written.height, canvas.height)
    rounded = Rect(x, y, width, height)
    if rounded != written and collector.is_clean(loc):
        collector.warn(loc, f"odd numbers are rounded to even ones: {written} becomes {rounded}")
    return rounded


def _even_span(start: int, length: int, limit: int) -> tuple[int, int]:
    even_start = min(even(Fraction(start)), limit - 2)
    return even_start, min(even(Fraction(length)), limit - even_start)


def _watermarks(mixer: MixerConfig, canvas: Size | None, collector: ProblemCollector) -> tuple[Watermark, ...]:
    clocks = sum(mark.type == 1 for mark in mixer.watermarks)
    if clocks > MAX_CLOCKS:
        collector.problem(
            (*_MIXER, "WaterMark"), f"found {clocks} watermarks of Type 1 (time); accepted: at most {MAX_CLOCKS}"
        )
    marks = []
    for i, mark in enumerate(mixer.watermarks):
        loc = (*_MIXER, "WaterMark", i)
        if collector.is_clean((*loc, "Type")) and mark.type:
            _check_corner(mark, loc, canvas, collector)
            drawn = _watermark(mark, loc, collector)
            if drawn:
                marks.append(drawn)
                if mark.alpha < FAINT_ALPHA:
                    collector.warn((*loc, "Alpha"), f"{mark.alpha} is nearly invisible: 1 is opaque, 0 is not drawn")
    return tuple(marks)


def _check_corner(mark: WaterMark, loc: Loc, canvas: Size | None, collector: ProblemCollector) -> None:
    if not canvas:
        return
    for key, value, limit in (("X", mark.x, canvas.width), ("Y", mark.y, canvas.height)):
        if value >= limit and collector.is_clean((*loc, key)):
            collector.wrong_value((*loc, key), f"a whole number of pixels inside the canvas, 0 to {limit - 1}")


def _watermark(mark: WaterMark, loc: Loc, collector: ProblemCollector) -> Watermark | None:
    """The watermark; None, with a warning, when its image or text is missing."""
    alpha, anchor = float(mark.alpha), Anchor(mark.anchor)
    if mark.type == 1:
        return ClockWatermark(mark.x, mark.y, alpha, anchor)
    key, content = ("Image", mark.image) if mark.type == IMAGE else ("Text", mark.text)
    if not content:
        collector.warn((*loc, key), f"empty: a watermark of Type {mark.type} without it shows nothing")
        return None
    if key == "Text":
        return TextWatermark(mark.x, mark.y, alpha, content, anchor)
    if not is_http_url(content) and _ADDRESS.search(content):
        collector.wrong_value((*loc, key))
    return ImageWatermark(mark.x, mark.y, alpha, image_source(content), anchor, mark.width)


def image_source(written: str) -> str:
    """Where an image is: a key of the input store, or a URL with its scheme in small letters."""
    scheme, colon, rest = written.partition(":")
    return f"{scheme.lower()}{colon}{rest}" if is_http_url(written) else written
