"""What every test has, and the rule about skipping: under ``OWT_CI=1`` a skip is a failure unless it is named here."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from tests.support.compiler import COMPILER

# Machines are shared and noisy: how long an example takes says nothing about the code.
hypothesis.settings.register_profile("owtmix", deadline=None)
hypothesis.settings.load_profile("owtmix")

# Whoever started the tests with nohup had SIGHUP ignored, which what they start would keep to.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHARED: Final = Path(__file__).parents[2] / "shared"
"""Real recordings and the specification, beside the checkout; not everybody has them."""


def nvrtc() -> Path | None:
    """NVIDIA's compiler at run time, where its wheel is installed."""
    found = importlib.util.find_spec("nvidia")
    folders = found.submodule_search_locations or () if found else ()
    return next((path for folder in folders for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*"))), None)


def kernel_isolates() -> bool:
    """Whether a process may get a network of its own, which has nobody in it."""
    child = os.fork()
    if not child:
        unshare = getattr(ctypes.CDLL(None), "unshare", lambda _flags: 1)
        new_network, new_user = 0x40000000, 0x10000000
        os._exit(bool(unshare(new_network) and unshare(new_network | new_user)))
    return os.waitpid(child, 0)[1] == 0


def kernel_mounts() -> bool:
    """Whether a process may have a disk for itself."""
    mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()]
    is_there = shutil.which(mount[0]) is not None
    return is_there and subprocess.run(mount, check=False, capture_output=True).returncode == 0


NOT_CONFINED: Final = "this kernel lacks Landlock or seccomp filters"


def kernel_confines() -> bool:
    """Whether the kernel has Landlock and filters of system calls."""
    libc = ctypes.CDLL(None)
    landlock_version = libc.syscall(444, None, ctypes.c_size_t(0), 1)
    return bool(landlock_version >= 1 and libc.prctl(21, 0, 0, 0, 0) >= 0)


def attributed(*folders: Path) -> Path | None:
    """The first folder whose files can have extended attributes, which OpenStack Swift needs; or this repository."""
    for folder in (*folders, Path(__file__).parent):
        try:
            os.setxattr(folder, "user.owtmix", b"1")
            os.removexattr(folder, "user.owtmix")
        except OSError:
            continue
        return folder
    return None


SLOW: Final = (
    "batch/test_batch.py",
    "batch/test_terminal.py",
    "batch/test_on_cards.py",
    "batch/test_signals.py",
    "batch/test_unread.py",
    "benchmarks/test_measure.py",
    "cli/test_commands.py",
    "cli/test_for_programs.py",
    "cli/test_probe.py",
    "cli/test_progress_bar.py",
    "cluster",
    "compositor/gpu/test_compiling.py",
    "compositor/gpu/test_kernel.py",
    "corpus",
    "e2e",
    "fuzz",
    "hostile",
    "jobs/test_api.py",
    "jobs/test_job.py",
    "jobs/test_overwriting.py",
    "jobs/test_resume.py",
    "jobs/test_upgrade.py",
    "live",
    "live_mix/test_push.py",
    "live_mix/test_pusher.py",
    "media/test_bounded_file.py",
    "media/test_partial_file.py",
    "media/test_skip_frames.py",
    "media/test_sound_excerpts.py",
    "media/test_voice_meter.py",
    "notify/test_crashes.py",
    "packaging",
    "plan/test_exact_json.py",
    "produce/test_changed_sources.py",
    "produce/test_gpu_jobs.py",
    "produce/test_production.py",
    "recorder/rtmp/test_reader.py",
    "recorder/sources/test_janus.py",
    "recorder/sources/test_rtmp.py",
    "recorder/test_finish.py",
    "recorder/test_hostile_journals.py",
    "recorder/test_hostile_senders.py",
    "recorder/test_recordings.py",
    "recorder/test_room.py",
    "recorder/test_rtmp_recordings.py",
    "recorder/test_upload.py",
    "render/test_frames_on_gpu.py",
    "render/test_video_track.py",
    "service/test_arguments.py",
    "service/test_document_samples.py",
    "storage/s3/test_bounds.py",
    "storage/s3/test_download.py",
    "storage/s3/test_faults.py",
    "storage/s3/test_secrets.py",
    "storage/s3/test_store.py",
    "test_skips.py",
    "workers/test_local.py",
    "workers/test_sandbox.py",
)
"""Whole jobs, commands and chunks, real and hostile recordings, compilers, what waits for a server: left out of
``make test-fast``.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = [Path(__file__).parent / name for name in SLOW]
    for item in items:
        if any(item.path.is_relative_to(path) for path in slow):
            item.add_marker(pytest.mark.slow)


ALLOWED_SKIPS: Final = {
    "no extended attributes": attributed(Path(tempfile.gettempdir())) is None,
    "the kernel refuses a network of its own": not kernel_isolates(),
    "the kernel refuses a disk of its own": not kernel_mounts(),
    NOT_CONFINED: not kernel_confines(),
    "only root can give a folder away": os.geteuid() != 0,
    "only root can give a network rules": os.geteuid() != 0,
    "no C++ compiler": COMPILER is None,
    "no GPU works": os.environ.get("OWT_REQUIRE_CUDA") != "1",
    "no git": shutil.which("git") is None,
    "no systemd-analyze": shutil.which("systemd-analyze") is None,
    "no nvcc": shutil.which("nvcc") is None,
    "no NVRTC": nvrtc() is None,
    "no ../shared": not SHARED.is_dir(),
    "the API document does not lie beside the repository": not SHARED.is_dir(),
}
"""How the reason of a skip may begin, and whether it holds on this machine."""


def excuse(reason: str) -> bool:
    """Whether a test may be skipped for ``reason`` where every test should run."""
    return any(holds and reason.startswith(allowed) for allowed, holds in ALLOWED_SKIPS.items())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or os.environ.get("OWT_CI") != "1":
        return
    assert isinstance(report.longrepr, tuple)
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if not excuse(reason):
        report.outcome = "failed"
        report.longrepr = f"skipped where every test should run: {reason}"
