"""The examples of docs/service.md are true: each request, sent in order, gets the answer that is printed below it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from owtmix.service.tokens import TokenCheck
from tests.service.conftest import Rig

PAGE: Final = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
BLOCKS: Final = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
PAIRS: Final = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))

MIX: Final[dict[str, Any]] = {
    "Mix": {"chunks": 45, "done_s": 90.0, "behind_s": 2.4, "begun_us": 1795327390000000},
    "Pushes": [{"url": "rtmp://live.example.com/app/***", "state": "living", "reason": ""}],
}
"""What a mixer and a pusher told, for the example."""


def test_requests_get_the_answers_below_them(rig: Rig) -> None:
    rig.recorder.mix = MIX
    printed = job = ""
    for request, answer in PAIRS:
        found = rig.post(json.loads(json.dumps(request).replace(printed or "JobId?", job)))
        printed, job = answer["Data"].get("JobId", printed), found["Data"].get("JobId", job)
        wanted = json.loads(json.dumps(answer).replace(printed, job))
        assert list(_others(wanted, found, request["Action"])) == []
    shown = {request["Action"] for request, _ in PAIRS}
    assert shown >= {"job.acquire", "job.start", "job.query", "job.stop", "job.live.start", "job.live.stop"}


def test_the_token_of_the_page_is_one() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(code, names)
    check = TokenCheck({"URtc-app1": SecretStr("k")}, 60, 60)
    made = names["token"]("alice", "lesson7", "URtc-app1", "k")
    assert check.check(made, app="URtc-app1", room="lesson7", now_s=time.time()) == "alice"


def _others(wanted: Any, found: Any, where: str) -> Iterator[str]:
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from _others(value, found.get(key), f"{where}.{key}")
    elif wanted != found:
        yield f"{where}: {found}"
