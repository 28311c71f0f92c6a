"""One frame of a plan as a picture."""

from __future__ import annotations

from contextlib import closing

from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image

from owtmix.compositor.factory import make_canvas
from owtmix.plan.device import CPU
from owtmix.render.frames import Footage, render_frames
from owtmix.render.results import RenderResult
from owtmix.render.video_track import Heartbeat, Material, _decoration


def draw_still(material: Material, number: int, pulse: Heartbeat = lambda: None) -> tuple[Image.Image, RenderResult]:
    """One frame of the plan's picture, in RGB, and what its sources turned out to be."""
    picture = material.plan.picture
    assert picture
    notes, decoration = RenderResult(), _decoration(material, picture)
    footage = Footage(material.plan.sources, material.paths, pulse=pulse)
    with closing(
        render_frames(picture, range(number, number + 1), footage, make_canvas(picture, CPU), decoration, notes)
    ) as frames:
        composed = next(frames)[1].frame
    rgb = composed.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU709 if picture.matrix == "bt709" else Colorspace.ITU601,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND,
    )
    return Image.fromarray(rgb.to_ndarray()), notes
