"""``python -m owtmix.jobfile`` generates files from the models of the job file.

These are the JSON Schema ``conf/cfg.schema.json`` and the tables of keys in ``docs/job-file.md``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from owtmix.jobfile.json_schema import job_schema
from owtmix.jobfile.key_docs import with_key_tables

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMA: Final = ROOT / "conf" / "cfg.schema.json"
PAGE: Final = ROOT / "docs" / "job-file.md"


def schema_text() -> str:
    """The content of ``conf/cfg.schema.json``."""
    return json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(with_key_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
