"""A job with local files does not load the S3 library."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = ("boto3", "botocore", "s3transfer")

PROGRAM = """
import sys
import {module}
print([name for name in {libraries!r} if name in sys.modules])
"""


@pytest.mark.parametrize("module", ["owtmix.jobs.job", "owtmix.cli.main", "owtmix.storage"])
def test_boto3_is_loaded_only_with_an_s3_store(module: str) -> None:
    program = PROGRAM.format(module=module, libraries=LIBRARIES)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
