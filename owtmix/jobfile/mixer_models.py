"""Models of the sections of a job that say who is in the mix and how the picture is composed."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from owtmix.jobfile.bounds import (
    MAX_CLOCKS,
    MAX_GAP,
    MAX_PAGE,
    MAX_POSITIONS,
    MAX_RECORDINGS,
    MAX_TEMPLATES,
    MAX_TEXT,
    MAX_TILES,
    MAX_URL,
    MAX_WATERMARKS,
    MAX_Z,
)
from owtmix.jobfile.fields import choice, items, key, section, string, whole
from owtmix.jobfile.job_model import REQUIRED, STREAM, JobModel
from owtmix.jobfile.types import MoveSeconds, Opacity, OptionalStreamId, PageSeconds, UnitFraction

STREAMS: Final = f'a list of at most {MAX_RECORDINGS:,} stream ids such as "alice_1"'
TEMPLATES: Final = f"a list of at most {MAX_TEMPLATES} templates, each a list of 1 to {MAX_TILES} tiles"
FRACTION: Final = "a fraction from 0 to 1 in quotes with numbers of at most 9 digits"


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class BackgroundColor(JobModel):
    """The colour where no picture is; black by default."""

    r: int = whole("R", "a whole number", 0, 255, 0)
    g: int = whole("G", "a whole number", 0, 255, 0)
    b: int = whole("B", "a whole number", 0, 255, 0)


class Region(JobModel):
    """A rectangle in pixels from the top left corner."""

    x: Annotated[int, REQUIRED] = whole("X", "a whole number of pixels", 0, 8190)
    y: Annotated[int, REQUIRED] = whole("Y", "a whole number of pixels", 0, 8190)
    width: Annotated[int, REQUIRED] = whole("Width", "a whole number of pixels", 1, 8192)
    height: Annotated[int, REQUIRED] = whole("Height", "a whole number of pixels", 1, 8192)
    z: int = whole("Z", "a whole number; lower ones are drawn first", -MAX_Z - 1, MAX_Z, 0)


class PositionConfig(JobModel):
    """Manual mode: the region of one stream."""

    stream: Annotated[OptionalStreamId, REQUIRED] = key("RtcStreamId", STREAM)
    region: Annotated[Region, REQUIRED] = key("Region", "an object with X, Y, Width, Height and perhaps Z")


class TemplateArea(JobModel):
    """A part of the canvas, in fractions of its width and height."""

    left: Annotated[UnitFraction, REQUIRED] = key("Left", f'{FRACTION}, such as "0" or "2/3"')
    top: Annotated[UnitFraction, REQUIRED] = key("Top", f'{FRACTION}, such as "0" or "2/3"')
    width: Annotated[UnitFraction, REQUIRED] = key("Width", f'{FRACTION}, such as "1/3" or "0.25"')
    height: Annotated[UnitFraction, REQUIRED] = key("Height", f'{FRACTION}, such as "1/3" or "0.25"')


class TemplateTile(JobModel):
    """One tile of a custom template."""

    id: Annotated[str, REQUIRED] = string(
        "Id", "text that no other tile of the template has", default=None, min_length=1
    )
    shape: Literal["rectangle"] = key("Shape", '"rectangle"', "rectangle")
    area: Annotated[TemplateArea, REQUIRED] = key("Area", "an object with Left, Top, Width, Height")


Templates = list[Annotated[list[TemplateTile], Field(min_length=1, max_length=MAX_TILES)]]


class WaterMark(JobModel):
    """A watermark; Type decides which of the other keys are used."""

    type: Annotated[int, REQUIRED] = choice("Type", "0 (nothing), 1 (time), 2 (image) or 3 (text)", 0, 3)
    image: str = string("Image", "an http:// or https:// URL, or a key of the store", MAX_URL)
    text: str = string("Text", "text", MAX_TEXT)
    x: int = whole("X", "a whole number of pixels", 0, 8191, 0)
    y: int = whole("Y", "a whole number of pixels", 0, 8191, 0)
    alpha: Opacity = key("Alpha", "a number, 0 (unseen) to 1 (opaque)", Decimal(1))
    anchor: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = key(
        "Anchor",
        'the corner from which X and Y count: "top-left", "top-right", "bottom-left" or "bottom-right"',
        "top-left",
    )
    width: int | None = whole("Width", "of an image: a whole number of pixels to which it is scaled", 1, 8192)


class MixerConfig(JobModel):
    """How the picture is composed."""

    max_resolution_stream: OptionalStreamId = key(
        "MaxResolutionStream", f'the stream that gets the largest tile: {STREAM}, or "" for none'
    )
    background: BackgroundColor = section("BackgroundColor", BackgroundColor, "an object with R, G, B")
    resize_mode: int = choice("ResizeMode", "0 (stretch), 1 (fill, cropping) or 2 (fit, with bars)", 0, 2, 2)
    layout: int = choice(
        "MixedVideoLayout",
        "0 (custom), 1 (tile), 2 (vertical), 3 (single), 4 (tile 2) or 5 (vertical 2)",
        0,
        5,
        1,
    )
    layout_config: Templates = items("LayoutConfig", f"for layout 0: {TEMPLATES}", MAX_TEMPLATES)
    layouts: Templates = items("Layouts", f"another name of LayoutConfig: {TEMPLATES}", MAX_TEMPLATES)
    positions: list[PositionConfig] = items(
        "PositionConfig",
        f"for manual mode: a list of at most {MAX_POSITIONS} objects with RtcStreamId and Region",
        MAX_POSITIONS,
    )
    labels: bool = key("Labels", "true or false; true writes names on the tiles", default=False)
    follow_speaker: bool = key("FollowSpeaker", "true or false; true gives who speaks the largest tile", default=False)
    screen_first: bool = key("ScreenFirst", "true or false; true gives a shared screen the largest tile", default=False)
    speaker_border: bool = key("SpeakerBorder", "true or false; true draws a border around who speaks", default=False)
    show_audio_only: bool = key("ShowAudioOnly", "true or false; true shows streams without a picture", default=False)
    page_size: int = whole("PageSize", "a number of tiles that are shown at a time, or 0 for all", 0, MAX_PAGE, 0)
    page_s: PageSeconds = key("PageSeconds", "a number of seconds that a page is shown, 1 to 3600", Decimal(10))
    corner_px: int = whole("CornerRadius", "a radius of the corners of tiles, in whole pixels", 0, MAX_GAP, 0)
    gap_px: int = whole("Gap", "a number of whole pixels between tiles", 0, MAX_GAP, 0)
    transition_s: MoveSeconds = key(
        "Transition", "a number of seconds that tiles take to their new places, 0 to 1", Decimal(0)
    )
    watermarks: Annotated[
        list[WaterMark],
        BeforeValidator(
            _as_list,
            json_schema_input_type=WaterMark | Annotated[list[WaterMark], Field(max_length=MAX_WATERMARKS)],
        ),
    ] = items(
        "WaterMark",
        f"an object with Type, or a list of at most {MAX_WATERMARKS}, of which at most {MAX_CLOCKS} have Type 1",
        MAX_WATERMARKS,
    )


class SubscribeConfig(JobModel):
    """Which streams are in the mix."""

    video_stream_type: int = choice("VideoStreamType", "0 (automatic layout) or 1 (manual positions)", 0, 1, 0)
    max_subscriptions: int = whole("MaxSubscriptions", "a whole number of streams", 1, 64, 32)
    audio_only: list[OptionalStreamId] = items("SubscribeAudio", f"{STREAMS}; only they sound", MAX_RECORDINGS)
    audio_without: list[OptionalStreamId] = items("UnsubscribeAudio", f"{STREAMS}; they are silent", MAX_RECORDINGS)
    video_only: list[OptionalStreamId] = items("SubscribeVideo", f"{STREAMS}; only they show", MAX_RECORDINGS)
    video_without: list[OptionalStreamId] = items("UnsubscribeVideo", f"{STREAMS}; they are hidden", MAX_RECORDINGS)
