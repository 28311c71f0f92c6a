"""The memory of a worker that composes a picture, from its plan alone; what would not fit is refused before it begins.

All numbers of bytes for each pixel were measured with canvases from 640x640 to 8192x8192 and rounded up. Recordings
come on top: what their decoders take depends on them and not on the canvas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from owtmix.base.errors import CODE_VIDEO_PARAM, Problem, SpecError
from owtmix.base.geometry import Rect, Size
from owtmix.jobfile.spec import ImageWatermark, Watermark
from owtmix.plan.buffers import ahead_frames, kept_converters, pool_frames
from owtmix.plan.model import PicturePlan, VideoEncoding
from owtmix.plan.tiles import Tile

PROCESS_BYTES: Final = 160 << 20
"""Interpreter, libraries and fonts."""
FRAME_BYTES: Final = 1.5
"""Of a pixel in YUV 4:2:0."""

KEPT_LAYERS: Final = 2
"""Of a tile beside those that are ready: the one being drawn, and one on its way through the scaler."""
TILE_BYTES: Final = 1 << 20
"""Of the scaler of a tile."""

PLACEHOLDER_BYTES: Final = 3.5
"""Of a pixel, with what drawing it takes."""
OVERLAY_BYTES: Final = 6
LABEL_SHARE: Final = 5
"""A label takes at most such a part of its tile, unless that is very small."""
"""Of a pixel of a watermark that is ready to be drawn."""
DRAWING_BYTES: Final = 8
"""Of a pixel of the watermark that is being prepared."""
LINE_PER_EM: Final = 2
"""Height of a line of text with marks above and below letters, per that of its em."""

X264_PAD_PX: Final = 128
X264_BYTES: Final = 12.0
X264_LOOKAHEAD_BYTES: Final = 2.8
"""Of a pixel, for each frame of lookahead."""
X264_REFERENCE_BYTES: Final = 5.5
"""Of a pixel, for each reference frame."""
X264_SEARCH_BYTES: Final = 4.5
"""Of a pixel, for each reference frame, when motion is searched exhaustively."""
X264_PRESETS: Final[Mapping[str, tuple[int, int]]] = {
    "ultrafast": (0, 1),
    "superfast": (0, 1),
    "veryfast": (10, 1),
    "faster": (20, 2),
    "fast": (30, 2),
    "medium": (40, 3),
    "slow": (50, 5),
    "slower": (60, 8),
    "veryslow": (60, 16),
    "placebo": (60, 16),
}
"""Frames of lookahead and of reference."""
VP9_PAD_PX: Final = 160
VP9_BYTES: Final = 72.0


@dataclass(frozen=True, slots=True)
class PictureMemory:
    """Bytes that composing and encoding a picture takes: of the canvas with its encoder, its tiles, its watermarks."""

    canvas: int
    tiles: int
    watermarks: int

    @property
    def total(self) -> int:
        return PROCESS_BYTES + self.canvas + self.tiles + self.watermarks


def picture_memory(picture: PicturePlan, images: Mapping[str, Size]) -> PictureMemory:
    """The memory of one worker that composes ``picture`` on the CPU, which also takes over from a GPU.

    ``images`` are the sizes of the watermark images by their source; those without a size are not drawn.
    """
    canvas = picture.canvas
    pool = FRAME_BYTES * canvas.width * canvas.height * pool_frames(canvas)
    layers = FRAME_BYTES * (ahead_frames(canvas) + KEPT_LAYERS) * kept_converters(canvas)
    return PictureMemory(
        canvas=int(pool + encoder_bytes(canvas, picture.spare or picture.encoding)),
        tiles=max(
            (
                int(sum(map(_most_px, scene.tiles, scene.origins or repeat(None))) * (layers + PLACEHOLDER_BYTES))
                + OVERLAY_BYTES * sum(tile.rect.area // LABEL_SHARE for tile in scene.tiles if tile.label)
                + TILE_BYTES * len(scene.tiles)
                for scene in picture.scenes
            ),
            default=0,
        ),
        watermarks=_watermark_bytes(picture, images),
    )


def _most_px(tile: Tile, origin: Rect | None) -> int:
    """How many pixels a tile has at most, which may be on its way from ``origin``."""
    if origin is None:
        return tile.rect.area
    return max(tile.rect.width, origin.width) * max(tile.rect.height, origin.height)


def encoder_bytes(canvas: Size, encoding: VideoEncoding) -> int:
    """What libvpx takes, or x264 with its lookahead and references."""
    if encoding.encoder == "libvpx-vp9":
        return int(VP9_BYTES * (canvas.width + VP9_PAD_PX) * (canvas.height + VP9_PAD_PX))
    options = dict(encoding.options)
    preset = options.get("preset", "")
    lookahead, references = X264_PRESETS.get(preset, X264_PRESETS["placebo"])
    changed = dict(pair.split("=", 1) for pair in options.get("x264-params", "").split(":") if pair)
    lookahead = min(int(changed.get("rc-lookahead", lookahead)), encoding.gop)
    per_reference = X264_REFERENCE_BYTES + X264_SEARCH_BYTES * (preset == "placebo")
    per_pixel = X264_BYTES + X264_LOOKAHEAD_BYTES * lookahead + per_reference * references
    return int(per_pixel * (canvas.width + X264_PAD_PX) * (canvas.height + X264_PAD_PX))


def check_memory(picture: PicturePlan, images: Mapping[str, Size], limit_mib: int) -> None:
    """Check that ``picture`` can be composed in ``limit_mib``.

    Raises:
        SpecError: it cannot.
    """
    needed = picture_memory(picture, images)
    if needed.total <= limit_mib << 20:
        return
    largest = max((needed.canvas, "Width or Height"), (needed.tiles, "tiles, or ones that overlap less,"))
    largest = max(largest, (needed.watermarks, "watermarks"))
    smaller = f"{'a smaller' if needed.canvas == largest[0] else 'fewer or smaller'} {largest[1]}"
    container = "VP9" if picture.encoding.encoder == "libvpx-vp9" else "H.264"
    raise SpecError(
        Problem(
            "Data.TranscodingConfig.Video",
            f"composing {picture.canvas} as {container} takes about {_mib(needed.total)} of memory "
            f"(canvas and encoder {_mib(needed.canvas)}, tiles {_mib(needed.tiles)}, "
            f"watermarks {_mib(needed.watermarks)}), more than limits.worker_memory_mib in conf/owt.toml, which is "
            f"{limit_mib:,} MiB: choose {smaller} or raise that limit",
            CODE_VIDEO_PARAM,
        )
    )


def _watermark_bytes(picture: PicturePlan, images: Mapping[str, Size]) -> int:
    """Of all watermarks of a scene that are ready, and of the largest of them while it is prepared."""

    def drawn(mark: Watermark) -> int:
        canvas = picture.canvas
        size = Size(canvas.width, LINE_PER_EM * picture.text_px)
        if isinstance(mark, ImageWatermark):
            if mark.source not in images:
                return 0
            size = mark.size(images[mark.source])
            if mark.width is not None:  # all of it is scaled
                return size.width * size.height
        return min(size.width, canvas.width - mark.x) * min(size.height, canvas.height - mark.y)

    found = {mark: drawn(mark) for mark in picture.watermarks}
    looks = {scene.look.watermarks for scene in picture.scenes}
    ready = max((sum(found[mark] for mark in set(marks)) for marks in looks), default=0)
    return OVERLAY_BYTES * ready + DRAWING_BYTES * max(found.values(), default=0)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes >> 20:,} MiB"
