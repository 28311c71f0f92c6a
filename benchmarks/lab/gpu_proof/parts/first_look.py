"""What the machine is, which libraries load, and exactly what decoders and encoders of the card say."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks.lab.gpu_proof.setting import Finding, Setting, untried

LIBRARIES: Final = (
    *("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"),
    *("libnvrtc.so.13", "libnvrtc.so.12", "libcudart.so.13"),
)
FOLDER: Final = "/usr/local/nvidia/lib64"
PACKAGES: Final = (
    *("numpy", "av", "cupy-cuda13x", "cupy-cuda12x", "pydantic", "httpx", "rich", "pillow", "freetype-py"),
    *("uharfbuzz", "tzdata", "pytest", "hypothesis", "pytest-timeout", "pytest-xdist", "boto3", "imageio-ffmpeg"),
)
QUERY: Final = "name,driver_version,memory.total,memory.used,compute_cap,pcie.link.gen.current,clocks.sm,clocks.mem"
DECODERS: Final = ("h264_cuvid", "vp8_cuvid", "vp9_cuvid", "av1_cuvid")
SECONDS: Final = 20


def run(setting: Setting) -> Iterator[Finding]:
    """Facts, each on its own, so that one that fails hides no other; those that might hang last."""
    yield Finding("machine", _machine())
    yield Finding("packages", {name: _version(name) for name in PACKAGES})
    yield Finding("nvidia-smi", _output("nvidia-smi", f"--query-gpu={QUERY}", "--format=csv"))
    yield Finding("nvidia-smi, codecs", _output("nvidia-smi", "--query-gpu=encoder.stats.sessionCount", "--format=csv"))
    yield Finding(f"in {FOLDER}", _listed(FOLDER))
    for name in LIBRARIES:
        yield Finding(name, _tried(partial(_loaded, name)))
    yield Finding("pidfd_open", _tried(_pidfd))
    yield Finding("memory of a process", _tried(lambda: Path("/proc/self/smaps_rollup").read_text("ascii")[:60]))
    if find_spec("cupy"):
        yield Finding("CuPy", _tried(_cupy))
    else:
        yield Finding("CuPy", "is not installed", ok=setting.pretend)
    yield Finding("kernel compiled by NVRTC", _tried(_compiled))
    yield Finding("FFmpeg", _tried(_ffmpeg))
    for name in DECODERS:
        yield Finding(f"decoder {name} opened", _logged(partial(_opened, name)))
    yield Finding("context of the card for decoders", _logged(_hardware))
    yield from _decoded(setting)
    yield Finding("encoder h264_nvenc", _logged(_encoded))
    yield Finding("GPU opened", _logged(_opened_gpu))
    if setting.pretend:
        yield untried("libraries of a driver, and decoders and encoders that open")


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    memory = Path("/proc/meminfo").read_text("ascii").split()[1]
    return {
        "processor": next(models, platform.machine()),
        "cores": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory) >> 10,
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "devices": sorted(str(path) for path in Path("/dev").glob("nvidia*")),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _listed(folder: str) -> list[str]:
    words = ("cuvid", "encode", "nvrtc", "libcuda")
    with contextlib.suppress(OSError):
        return sorted(path.name for path in Path(folder).iterdir() if any(word in path.name for word in words))
    return []


def _output(*command: str) -> list[str] | str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"fails: {error}"
    return (done.stdout + done.stderr).strip().splitlines()


def _tried(probe: Callable[[], Any]) -> Any:
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"fails: {type(error).__name__}: {error}"


def _loaded(name: str) -> str:
    ctypes.CDLL(name)
    return "loads"


def _pidfd() -> str:
    """Jobs and the harness wait by it."""
    os.close(os.pidfd_open(os.getpid()))
    return "works"


def _cupy() -> str:
    import cupy

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cupy.show_config()
    return said.getvalue()


def _compiled() -> str:
    import cupy

    from owtmix.compositor.gpu.kernel_args import KERNEL, SOURCE

    start = time.monotonic()
    cupy.RawModule(code=SOURCE.read_text("ascii"), options=("-DFRAMES=1",)).get_function(KERNEL)
    return f"in {time.monotonic() - start:.2f} s"


def _opened_gpu() -> str:
    from owtmix.compositor.gpu.cuda import CudaDevice

    return CudaDevice(0).model


def _ffmpeg() -> dict[str, Any]:
    """The libraries that PyAV brings, and those of their codecs that use a card."""
    import av
    from av.codec.codec import codecs_available
    from av.codec.hwaccel import hwdevices_available

    on_card = sorted(name for name in codecs_available if name.endswith(("_cuvid", "_nvenc")))
    return {"versions": av.library_versions, "devices": hwdevices_available(), "codecs": on_card}


def _logged(probe: Callable[[], Any]) -> dict[str, Any]:
    """What a probe of FFmpeg gave, and all that FFmpeg said meanwhile."""
    try:
        from av import logging
    except ImportError as error:
        return {"fails": str(error)}
    logging.set_level(logging.DEBUG)
    try:
        with logging.Capture() as said:
            found = _tried(probe)
    finally:
        logging.set_level(None)
    return {"found": found, "said": [f"{name}: {text.strip()}" for _, name, text in said][-12:]}


def _opened(name: str) -> str:
    from av.codec import Codec, CodecContext

    context = CodecContext.create(Codec(name, "r"))
    context.width, context.height = 1280, 720  # type: ignore[attr-defined]  # these decoders are of pictures
    context.open()
    return "opens"


def _hardware() -> str:
    from av.codec import Codec
    from av.codec.hwaccel import HWAccel

    HWAccel("cuda", "0", is_hw_owned=True).create(Codec("h264", "r"))
    return "is made"


def _decoded(setting: Setting) -> Iterator[Finding]:
    """The first picture of each kind of film: in which memory it is."""
    try:
        from benchmarks.lab.gpu_proof.films import made_films
    except ImportError as error:
        yield Finding("films", f"fails: {error}", ok=False)
        return
    for path in made_films(setting.work / "films", 1 if setting.pretend else 10):
        yield Finding(f"first picture of {path.name}", _logged(partial(_first_picture, path)))


def _first_picture(path: Path) -> dict[str, Any]:
    import av
    from av.codec.hwaccel import HWAccel

    with av.open(str(path), hwaccel=HWAccel("cuda", "0", is_hw_owned=True)) as container:
        frame = next(container.decode(video=0))
        return {"format": frame.format.name, "samples": frame.sw_format and frame.sw_format.name}


def _encoded() -> str:
    import av
    from av.video.frame import VideoFrame

    with av.open("/dev/null", "w", format="null") as container:
        stream = container.add_stream("h264_nvenc", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        return f"{len(stream.encode(VideoFrame(640, 360, 'yuv420p')) + stream.encode(None))} packets"
