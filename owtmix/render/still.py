"""One frame of a plan as a picture."""

from __future__ import annotations

from contextlib import closing

from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image

from owtmix.compositor.factory import make_canvas
from owtmix.render.callbacks import Heartbeat, no_heartbeat
from owtmix.render.context import RenderContext
from owtmix.render.frames import Decoding, render_frames
from owtmix.render.results import RenderResult


def draw_still(
    context: RenderContext, number: int, heartbeat: Heartbeat = no_heartbeat
) -> tuple[Image.Image, RenderResult]:
    """Frame ``number`` of the plan's picture in RGB, composed on the CPU, and the findings about its sources."""
    picture = context.picture
    result, decoding = RenderResult(), Decoding(context.sources, heartbeat=heartbeat)
    only = range(number, number + 1)
    with closing(render_frames(picture, only, decoding, make_canvas(picture), context.overlays(), result)) as frames:
        composed = next(frames)[1].frame
    rgb = composed.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU709 if picture.matrix == "bt709" else Colorspace.ITU601,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND,
    )
    return Image.fromarray(rgb.to_ndarray()), result
