"""Every sample of the API document is sent to a running server, as it is printed and as it was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.server import LiveServer, serving

DOCUMENT: Final = Path(__file__).parents[2].parent / "shared" / "spec" / "cloud-recording-api.md"

pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="the API document does not lie beside the repository")

ACKS: Final = {
    "job.acquire": "job.init",
    "job.start": "job.stat",
    "job.subscribe.update": "job.subscribe.stat",
    "job.mixer.update": "job.mixer.stat",
    "job.transcoding.update": "job.transcoding.stat",
    "job.update": "job.update.stat",
    "job.query": "job.query.stat",
    "job.notify.update": "job.notify.stat",
    "job.stop": "job.destroyed",
}
"""Section 2.1 of the document."""


def printed() -> list[str]:
    """The JSON blocks of the document, in its order."""
    if not DOCUMENT.exists():
        return []
    return re.findall(r"^ *```json\n(.*?)^ *```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def meant(text: str) -> Any:
    """A sample as JSON: of choices the first, without commas too many and with the brackets that are missing."""
    text = re.sub(r"(?<=[\s:])(\d)(?:/\d)+", r"\1", text)
    text = (
        text.replace("{****", "{")
        .replace('"user_type"', '"user_1"')
        .replace('"SampleRate": 4800\n', '"SampleRate": 48000\n')
    )
    text = re.sub(r",(\s*[}\]])", r"\1", text)
    for closing in ("", "}", "}}"):
        try:
            return json.loads(text + closing)
        except ValueError:
            continue
    return None


def wrong_line(text: str) -> int:
    """The first line that is no JSON for a parser, or ends with a comma too many; 0 if all is JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        comma = len(text[: error.pos].rstrip()) - 1
        return text.count("\n", 0, comma if text[comma] == "," else error.pos) + 1
    return 0


REQUESTS: Final = [
    (number, text)
    for number, text in enumerate(printed())
    if (named := re.search(r'"Action":\s*"(.*?)"', text)) and named[1] in ACKS
]
ANSWERS: Final = {
    number: found
    for number, text in enumerate(printed())
    if (found := meant(text)) and ("Ack" in found or '.stat"' in text)
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.mark.parametrize("text", [text for _, text in REQUESTS], ids=[f"block-{number}" for number, _ in REQUESTS])
def test_as_it_is_printed(server: LiveServer, text: str) -> None:
    """Most are no JSON, which is told with line and column, and nothing else is done."""
    answer = server.post(text.encode())
    line = wrong_line(text)
    if line:
        assert answer["RetCode"] == 1
        assert f"line {line}, column " in answer["Message"]
    else:
        assert answer["RetCode"] in {0, 1, 3}
        assert answer["Ack"] == ACKS[json.loads(text)["Action"]]


def test_as_it_was_meant(server: LiveServer) -> None:
    """All samples, each start as one of another room: each answer has all that the document's has."""
    job, compared = "", []
    for number, text in REQUESTS:
        request = meant(text)
        assert request is not None, number
        action = request["Action"]
        if action == "job.start":  # of Mode 0, in which the codecs of streams decide of the files
            place = {"AppId": "app", "RoomId": f"room-{number}", "Mode": 0, "ChannelType": 0}
            job = server.ask("job.acquire", place)["Data"]["JobId"]
            request["Internal"]["Mode"] = 0
            if request["Data"]["RecordingConfig"]["FileType"] == ["mp4"]:  # of a mix
                request["Data"]["RecordingConfig"]["FileType"] = ["mp4", "webm"]
        if action != "job.acquire":
            request["Internal"]["JobId"] = job
        answer = server.post(request)
        assert (answer["RetCode"], answer["Ack"]) == (0, ACKS[action]), (number, answer)
        if printed_answer := ANSWERS.get(number + 1):
            wanted: dict[str, Any] = printed_answer["Data"] if action != "job.acquire" else {"JobId": ""}
            wanted.get("MixerConfig", {}).pop("BackgroundColor", None)  # it only counts at the start (section 11)
            differences = list(
                _missing(wanted, answer["Data"], "Data", alike=action not in {"job.acquire", "job.query"})
            )
            assert not differences, (action, differences)
            compared.append(action)
    assert {*compared} == {*ACKS}


def test_the_job_of_the_last_section(server: LiveServer) -> None:
    """It mixes live."""
    request = next(found for _, text in REQUESTS[::-1] if (found := meant(text)) and found["Action"] == "job.start")
    place = {"AppId": "URtc-h4r1txxy", "RoomId": "2234", "Mode": 1, "ChannelType": 0, "RequestId": "0"}
    acquired = server.ask("job.acquire", place)
    request["Internal"]["JobId"] = acquired["Data"]["JobId"]
    answer = server.post(request)
    assert (answer["RetCode"], answer["Ack"]) == (0, "job.stat")
    differences = list(_missing(request["Data"], answer["Data"], "Data", alike=True))
    assert not differences


def _missing(wanted: Any, found: Any, where: str, *, alike: bool) -> Iterator[str]:
    """What the document's answer has, and ours has not; secrets are masked, and empty stream ids left out.

    Without ``alike``, values may be others: the job was changed meanwhile.
    """
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{where} is no object"
            return
        for key, value in wanted.items():
            if key not in found:
                yield f"{where}.{key} is missing"
            else:
                yield from _missing(value, found[key], f"{where}.{key}", alike=alike)
    elif isinstance(wanted, list):
        kept = [value for value in wanted if value != ""]
        if not isinstance(found, list) or (alike and len(kept) != len(found)):
            yield f"{where} has {found}"
            return
        for number, (value, ours) in enumerate(zip(kept, found, strict=alike)):
            yield from _missing(value, ours, f"{where}[{number}]", alike=alike)
    elif alike and found not in {wanted, "***"}:
        yield f"{where}: {found} and not {wanted}"
