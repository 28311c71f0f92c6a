"""What the process of a batch loads."""

from __future__ import annotations

import subprocess
import sys


def test_no_media_library_no_arrays_and_no_network() -> None:
    script = "import sys, owtmix.batch.main, owtmix.storage.s3.endpoint; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "rich" in loaded
    assert not loaded & {"av", "boto3", "cupy", "freetype", "httpx", "numpy", "PIL", "ray", "uharfbuzz"}
