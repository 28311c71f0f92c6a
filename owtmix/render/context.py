"""The inputs of rendering a picture: a plan, its sources, its images, and the device that composes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from owtmix.compositor.factory import open_gpu
from owtmix.compositor.gpu.device import GpuDevice
from owtmix.compositor.overlays import Overlays, Rgba
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.writers import VideoWriter
from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.model import PicturePlan, RenderPlan
from owtmix.render.video_source import VideoSources


class Gpu(GpuDevice, DecodingGpu, Protocol):
    """A GPU that composes and decodes."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """A plan, its ``sources``, its watermark ``images`` by their source, and the ``device`` that composes.

    ``open_gpu`` opens the GPU of a device, once in a process; ``open_writer`` opens the encoder of a video track.
    """

    plan: RenderPlan
    sources: VideoSources
    images: Mapping[str, Rgba]
    device: RenderDevice = CPU
    open_gpu: Callable[[RenderDevice], Gpu | None] = open_gpu
    open_writer: Callable[..., VideoWriter] = VideoWriter

    @property
    def picture(self) -> PicturePlan:
        """The plan's picture, which it must have."""
        assert self.plan.picture
        return self.plan.picture

    def overlays(self) -> Overlays:
        """Placeholders and watermarks of the picture."""
        return Overlays(self.picture, self.images, self.plan.epoch_at, self.plan.time_zone)
