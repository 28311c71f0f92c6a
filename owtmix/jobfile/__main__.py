"""``python -m owtmix.jobfile [PATH]`` writes the JSON Schema of the job file to PATH, or to standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from owtmix.jobfile.json_schema import job_schema


def schema_text() -> str:
    """The schema as ``conf/cfg.schema.json`` holds it."""
    return json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
    else:
        sys.stdout.write(schema_text())
