"""The GPU canvas against the CPU canvas, with the kernel on the host and on this machine's GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count
from typing import Final
from weakref import ref

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.base.geometry import Orientation, Rect, ResizeMode, Size
from owtmix.compositor.base import Canvas, Layer, SourceFrame
from owtmix.compositor.cpu import CpuCanvas, planes
from owtmix.compositor.gpu.canvas import GpuCanvas
from owtmix.compositor.gpu.device import DeviceError, GpuDevice
from owtmix.compositor.gpu.upload import BUFFERS
from owtmix.compositor.overlay import prepare_overlay
from owtmix.compositor.overlays import OverlayLayer
from owtmix.media.probe import probe
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import Matrix
from tests.compositor.stills import Still
from tests.conftest import SHARED
from tests.media.pictures import flat, textured
from tests.support.card.gpu_frame import gpu_frame
from tests.support.card.lazy_device import LazyDevice
from tests.support.gpu import gpu_number

LEAST_PSNR_DB: Final = 45.0
"""The canvases round at different steps; 48 dB is an error of 1 everywhere."""
CANVAS: Final = Size(320, 192)
WHOLE: Final = Rect(0, 0, CANVAS.width, CANVAS.height)
BACKGROUND: Final = (60, 100, 140)
MIB: Final = 1 << 20

_keys = count()


def devices() -> Iterator[GpuDevice]:
    """The kernel on the host, and the GPU of this machine."""
    yield LazyDevice()
    if (number := gpu_number()) is not None:
        from owtmix.compositor.gpu.cuda import open_device  # noqa: PLC0415 - where there is one

        yield open_device(number)


def test_this_machine_has_a_gpu() -> None:
    """A skip says that the comparisons below ran on the host only."""
    if len(list(devices())) == 1:
        pytest.skip("no GPU works")


def canvases(
    matrix: Matrix = "bt709", size: Size = CANVAS, *, eager_uploads: bool = False
) -> tuple[Canvas, Canvas, LazyDevice]:
    device = LazyDevice(eager_uploads=eager_uploads)
    gpu = GpuCanvas(device, 64 * MIB, size, BACKGROUND, matrix)
    return CpuCanvas(size, BACKGROUND, matrix), gpu, device


def shown(canvas: Canvas, layers: list[Layer]) -> list[NDArray[np.uint8]]:
    composed = canvas.compose(layers)
    drawn = [plane.copy() for plane in planes(composed.frame)]
    composed.release()
    return drawn


def psnr_db(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def compare(
    picture: SourceFrame, tile: Rect = WHOLE, mode: ResizeMode = ResizeMode.STRETCH, matrix: Matrix = "bt709"
) -> None:
    """All canvases draw nearly the same; those on devices are equal bit by bit."""
    all_canvases: list[Canvas] = [CpuCanvas(CANVAS, BACKGROUND, matrix)]
    all_canvases += [GpuCanvas(device, 64 * MIB, CANVAS, BACKGROUND, matrix) for device in devices()]
    expected, first, *others = (
        shown(canvas, [canvas.scaler(mode).fit(picture, tile, next(_keys))]) for canvas in all_canvases
    )
    for model, drawn in zip(expected, first, strict=True):
        assert psnr_db(model, drawn) >= LEAST_PSNR_DB
    for other in others:
        assert all(np.array_equal(drawn, plane) for drawn, plane in zip(first, other, strict=True))


PICTURES: Final[dict[str, Still]] = {
    "shrunk": Still(textured(Size(640, 480))),
    "shrunk a lot": Still(textured(Size(1920, 1080))),
    "enlarged": Still(textured(Size(128, 96))),
    "mixed": Still(textured(Size(640, 96))),
    "mixed the other way": Still(textured(Size(120, 480))),
    "as it is": Still(textured(CANVAS)),
    "odd": Still(textured(Size(161, 241))),
    "full range": Still(textured(Size(400, 300)), full_range=True),
    "601": Still(textured(Size(400, 300)), matrix="bt601"),
    "601 in full range": Still(textured(Size(200, 150)), matrix="bt601", full_range=True),
    "interlaced": Still(textured(Size(400, 300)), interlaced=True),
    "interlaced, enlarged": Still(textured(Size(100, 75)), interlaced=True),
    "interlaced, turned": Still(textured(Size(400, 300)), Orientation.CLOCKWISE, interlaced=True),
    "wide pixels": Still(textured(Size(400, 300)), sar=Fraction(16, 11)),
    **{f"turned {turn.name.lower()}": Still(textured(Size(400, 298)), turn) for turn in Orientation},
}


@pytest.mark.parametrize("mode", ResizeMode)
@pytest.mark.parametrize("name", PICTURES)
def test_it_draws_what_the_cpu_canvas_draws(name: str, mode: ResizeMode) -> None:
    compare(PICTURES[name], Rect(16, 10, 280, 170), mode)


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "gray", "rgb24", "nv12"])
def test_it_draws_all_pixel_formats_of_decoders(pixel_format: str) -> None:
    frame = textured(Size(400, 300)).reformat(format=pixel_format)
    compare(Still(frame, full_range=pixel_format == "yuvj420p"))


def test_colours_are_converted_to_bt601() -> None:
    compare(Still(textured(Size(400, 300)), matrix="bt709"), matrix="bt601")


RECORDINGS: Final = (
    "daily__pauli_webcam_720p_h264_aac.m4v",
    "chrome_screen_vfr_vp9_1280x720.webm",
    "media__internal_emulator_transformer_output_270_rotated_2s.mp4",
    "torchcodec__bt709_full_range.mp4",
    "torchcodec__h264_10bits.mp4",
    "cros-codecs__test-25fps-interlaced.mp4",
    "mediabunny__sar_2x1.mp4",
)


@pytest.mark.parametrize("tile", [Rect(0, 0, 320, 180), Rect(2, 2, 96, 160)], ids=str)
@pytest.mark.parametrize("name", RECORDINGS)
def test_it_draws_real_recordings_as_the_cpu_canvas_does(name: str, tile: Rect) -> None:
    path = SHARED / "media" / name
    if not path.exists():
        pytest.skip("no ../shared")
    track = probe(path).video
    assert track
    reader = VideoReader(path, track.index)
    picture = reader.frame_at(Fraction(1))
    assert picture
    for mode in (ResizeMode.FIT, ResizeMode.FILL):
        compare(picture, tile, mode)
    reader.close()


def noise_overlay(rect: Rect, alpha: float = 1.0, key: object = None) -> OverlayLayer:
    noise = np.random.default_rng(rect.x).integers(0, 256, (rect.height, rect.width, 4), np.uint8)
    if alpha == 1:
        noise[..., 3] = 255
    overlay = prepare_overlay(noise, rect.x, rect.y, CANVAS, "bt709", alpha=alpha)
    assert overlay
    return OverlayLayer(key or (rect, alpha), overlay, opaque=alpha == 1)


def test_overlays_are_the_same_to_the_bit() -> None:
    cpu, gpu, _ = canvases()
    layers: list[Layer] = [
        noise_overlay(Rect(0, 0, 100, 80)),
        noise_overlay(Rect(50, 41, 90, 61), 0.5),
        noise_overlay(Rect(80, 20, 120, 120)),
        noise_overlay(Rect(71, 33, 150, 99), 0.8),
    ]
    for expected, drawn in zip(shown(cpu, layers), shown(gpu, layers), strict=True):
        assert np.array_equal(expected, drawn)


def tiled(canvas: Canvas, stills: list[Still]) -> list[Layer]:
    """Four frames, two by two, and a watermark."""
    half = Size(CANVAS.width // 2, CANVAS.height // 2)
    rects = [Rect(i % 2 * half.width, i // 2 * half.height, half.width, half.height) for i in range(4)]
    tiles: list[Layer] = [
        canvas.scaler(ResizeMode.STRETCH).fit(still, rect, next(_keys))
        for still, rect in zip(stills, rects, strict=True)
    ]
    return [*tiles, noise_overlay(Rect(20, 20, 60, 40), 0.5)]


@pytest.mark.parametrize("eager_uploads", [False, True])
def test_memory_is_reused_only_when_nothing_reads_it(*, eager_uploads: bool) -> None:
    """Frames are read late; the device works as late as fences allow, and in one case uploads at once."""
    cpu, gpu, device = canvases(eager_uploads=eager_uploads)
    scalers = [gpu.scaler(ResizeMode.STRETCH) for _ in range(2)]
    waiting = []
    stills = [Still(textured(Size(200, 120), seed)) for seed in range(40)]
    for number, still in enumerate(stills):
        waiting.append(gpu.compose([scalers[number % 2].fit(still, WHOLE, number)]))
        if len(waiting) == 4:
            composed = waiting.pop(0)
            expected = shown(cpu, [cpu.scaler(ResizeMode.STRETCH).fit(stills[number - 3], WHOLE, number - 3)])
            for model, plane in zip(expected, planes(composed.frame), strict=True):
                assert psnr_db(model, plane) >= LEAST_PSNR_DB
            composed.release()
    assert device.launches == len(stills)


@pytest.mark.parametrize("eager_uploads", [False, True])
def test_a_frame_may_have_more_tiles_than_upload_buffers_and_cached_tables(*, eager_uploads: bool) -> None:
    cpu, gpu, _ = canvases(eager_uploads=eager_uploads)
    rects = [Rect(x, y, 80, 64) for y in (0, 64, 128) for x in (0, 80, 160, 240)]
    assert len(rects) > BUFFERS
    expected, drawn = (
        shown(canvas, [scaler.fit(Still(textured(Size(200, 120), rect.x + rect.y)), rect, rect) for rect in rects])
        for canvas, scaler in ((canvas, canvas.scaler(ResizeMode.STRETCH)) for canvas in (cpu, gpu))
    )
    for model, plane in zip(expected, drawn, strict=True):
        assert psnr_db(model, plane) >= LEAST_PSNR_DB


def test_from_frame_to_frame_nothing_is_allocated() -> None:
    _, gpu, device = canvases()
    scaler = gpu.scaler(ResizeMode.STRETCH)
    memory_in_use = []
    for number in range(30):
        shown(gpu, [scaler.fit(Still(textured(Size(200, 120), number)), WHOLE, number)])
        memory_in_use.append((device.free_bytes, device.pinned_bytes))
    assert len(set(memory_in_use[10:])) == 1


def test_an_unchanged_layer_is_neither_uploaded_nor_drawn_again() -> None:
    _, gpu, device = canvases()
    scaler = gpu.scaler(ResizeMode.STRETCH)
    still, watermark = Still(textured(Size(200, 120))), noise_overlay(Rect(20, 20, 60, 40), 0.5)
    left, right = Rect(0, 0, 160, 192), Rect(160, 0, 160, 192)
    layers: list[Layer] = [scaler.fit(still, left, "a"), scaler.fit(still, right, "a"), watermark]
    first = gpu.compose(layers)
    uploaded = device.uploaded
    assert gpu.compose([scaler.fit(still, left, "a"), scaler.fit(still, right, "a"), watermark]) is first
    gpu.compose([scaler.fit(still, right, "a"), watermark])
    assert device.uploaded == uploaded
    assert device.launches == 2


@pytest.mark.parametrize("size", [CANVAS, Size(162, 90), Size(2, 2)], ids=str)
def test_frames_of_any_even_size_are_downloaded_or_stay_on_the_gpu_as_nv12(size: Size) -> None:
    cpu, gpu, _ = canvases(size=size)
    staying = GpuCanvas(LazyDevice(), 64 * MIB, size, BACKGROUND, "bt709", on_gpu=True)
    still, tile = Still(textured(size)), Rect(0, 0, size.width, size.height)
    expected = shown(cpu, [cpu.scaler(ResizeMode.FIT).fit(still, tile, "key")])
    drawn = shown(gpu, [gpu.scaler(ResizeMode.FIT).fit(still, tile, "key")])
    frame = staying.compose([staying.scaler(ResizeMode.FIT).fit(still, tile, "key")]).frame
    assert frame.format.name == "nv12"
    for plane, on_host, on_device in zip(expected, drawn, planes(frame.reformat(format="yuv420p")), strict=True):
        assert np.array_equal(plane, on_host)
        assert np.array_equal(plane, on_device)


def test_the_memory_limit_holds_and_the_error_names_it() -> None:
    device = LazyDevice()
    gpu = GpuCanvas(device, 2 * MIB, CANVAS, BACKGROUND, "bt709")
    with pytest.raises(DeviceError, match=r"more than 2 MiB of its memory: gpu\.memory_mib"):
        gpu.scaler(ResizeMode.FIT).fit(Still(textured(Size(1920, 1080))), WHOLE, "key")


def test_free_buffers_of_other_sizes_are_evicted() -> None:
    device = LazyDevice()
    gpu = GpuCanvas(device, 5 * MIB, CANVAS, BACKGROUND, "bt709")
    scaler = gpu.scaler(ResizeMode.FIT)
    for height in range(400, 1000, 100):
        shown(gpu, [scaler.fit(Still(flat(Size(1200, height))), WHOLE, height)])
    assert device.launches == 6


def test_a_device_that_is_full_or_lost_is_an_error() -> None:
    device = LazyDevice(free_bytes=MIB)
    with pytest.raises(DeviceError, match="lazy:0 is full"):
        GpuCanvas(device, 64 * MIB, Size(1920, 1080), BACKGROUND, "bt709")
    _, gpu, device = canvases()
    composed = gpu.compose([gpu.scaler(ResizeMode.STRETCH).fit(Still(textured(Size(200, 120))), WHOLE, "key")])
    device.lost = True
    with pytest.raises(DeviceError, match="lazy:0 is lost"):
        _ = composed.frame


def test_more_layers_than_a_launch_draws_are_refused() -> None:
    _, gpu, _ = canvases()
    layer = noise_overlay(Rect(0, 0, 8, 8))
    with pytest.raises(DeviceError, match="72 tiles and watermarks at most"):
        gpu.compose([layer] * 73)


def test_a_frame_decoded_on_the_gpu_is_kept_until_it_is_drawn() -> None:
    """The decoder reuses its memory as soon as the frame is garbage."""
    _, gpu, _ = canvases()
    decoded = gpu_frame(textured(Size(400, 300)).reformat(format="nv12"))
    kept = ref(decoded)
    composed = gpu.compose(
        [gpu.scaler(ResizeMode.STRETCH).fit(replace(Still(textured(CANVAS)), frame=decoded), WHOLE, "key")]
    )
    del decoded
    assert kept()
    _ = composed.frame
    assert not kept()


@pytest.mark.parametrize("pixel_format", ["nv12", "p010le", "yuv444p"])
def test_frames_decoded_on_the_gpu_are_read_in_place(pixel_format: str) -> None:
    still = Still(textured(Size(400, 300)).reformat(format=pixel_format))
    cpu, gpu, device = canvases()
    decoded = replace(still, frame=gpu_frame(still.frame))
    table_bytes = 60_000
    drawn = shown(gpu, [gpu.scaler(ResizeMode.STRETCH).fit(decoded, WHOLE, "key")])
    assert device.uploaded < table_bytes
    for expected, plane in zip(
        shown(cpu, [cpu.scaler(ResizeMode.STRETCH).fit(still, WHOLE, "key")]), drawn, strict=True
    ):
        assert psnr_db(expected, plane) >= LEAST_PSNR_DB
