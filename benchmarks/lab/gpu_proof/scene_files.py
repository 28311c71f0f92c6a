"""The benchmarks' scenes with recordings made by PyAV: as large and as coded as theirs, and shorter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.case import Case, prepare
from benchmarks.lab.gpu_proof.films import FPS, Film, write
from benchmarks.lab.gpu_proof.setting import Setting
from benchmarks.measure import CORES
from benchmarks.recordings import KBPS_PER_LINE, Take, available_kind
from benchmarks.scenes import SCENES, VERSION
from owtmix.base.geometry import Size


def prepared_scene(name: str, setting: Setting, work: str) -> Case:
    """The first seconds of a scene, planned, with outputs in ``work``.

    Its recordings are made unless an earlier part has.
    """
    cache = setting.work / "scenes"
    folder = cache / f"{name}-{available_kind()}-v{VERSION}"
    if not folder.is_dir():
        partial = folder.with_name(f"partial-{name}")
        partial.mkdir(parents=True, exist_ok=True)
        takes = [take for take in SCENES[name].takes if take.start_s < setting.seconds]
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(lambda take: _record(take, partial, setting.seconds), takes))
        partial.rename(folder)
    return prepare(name, cache, setting.work / work, setting.seconds)


def _record(take: Take, folder: Path, seconds: float) -> None:
    path, size = folder / take.name, Size(*take.size)
    count = round(min(take.length_s, seconds - take.start_s) * FPS)
    encoder = "libx264" if path.suffix == ".mp4" else "libvpx"
    kbps, key_frames = round(KBPS_PER_LINE * size.height), round(take.key_s * FPS)
    write(path, Film(encoder, ((size, count),), kbps, key_frames, take.number, sound=True))
