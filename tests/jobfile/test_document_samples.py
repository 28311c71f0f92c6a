"""Every JSON sample of the API document: whether it is a job, an index, or refused, and with which problems."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import pytest

from owtmix.base.errors import CODE_AUDIO_PARAM, CODE_FAILED, InputError, SpecError
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.reader import read_job
from owtmix.jobfile.room_state import RoomState

DOCUMENT: Final = Path(__file__).parents[2].parent / "shared" / "spec" / "cloud-recording-api.md"

pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="the API document does not lie beside the repository")

THE_JOB: Final = "the job file is not usable JSON: line "
THE_INDEX: Final = "the index is not usable JSON: line "
NOT_A_JOB: Final = (("Action", CODE_FAILED),)
SAMPLE_RATE_4800: Final = (("Data.TranscodingConfig.Audio.SampleRate", CODE_AUDIO_PARAM),)


@dataclass(frozen=True)
class Sample:
    """``refused`` has (path, code) of each problem, ``warned`` the path of each warning."""

    heading: str
    kind: Literal["job", "index"] = "job"
    refused: tuple[tuple[str, int], ...] = NOT_A_JOB
    warned: tuple[str, ...] = ()


SAMPLES: Final = (
    Sample("2.2 请求中的公共字段"),
    Sample("2.3 返回中的公共字段D"),
    Sample("3.1 请求"),
    Sample("3.2 返回"),
    Sample("4.1 开始云端录制的请求", refused=SAMPLE_RATE_4800),
    Sample("4.2 开始云端录制的返回"),
    Sample("5.1 更新云端录制的用户的请求"),
    Sample("5.2 更新云端录制的用户的返回"),
    Sample("6.1 更新合流录制的请求"),
    Sample("6.2 更新合流录制的返回"),
    Sample("7.1 更新合流录制的视频参数的请求"),
    Sample("7.2 更新合流录制的视频参数的返回"),
    Sample("8.1 批量更新录制的请求"),
    Sample("8.2 批量更新录制的返回"),
    Sample("9.1 查询录制任务状态的请求"),
    Sample("9.2 查询录制任务状态的返回"),
    Sample("10.1 停止录制任务的请求"),
    Sample("10.2 停止录制任务的返回"),
    Sample("11.2 索引格式", kind="index", refused=()),
    Sample("12.2 用户使用工具方法", refused=(), warned=("Data.RecordingConfig.MediaChannel",)),
    Sample("请求"),
    Sample("返回"),
    Sample("14.1 通知请求"),
    Sample("申请资源Id"),
    Sample("申请资源Id"),
    Sample(
        "开启云端录制任务",
        refused=(),
        warned=("Data.TranscodingConfig.Video.Profile", "Data.RecordingConfig.MediaChannel"),
    ),
    Sample("停止云端录制"),
)


def printed_samples() -> list[tuple[str, str]]:
    """Heading and text of each JSON block, in the order of the document."""
    if not DOCUMENT.exists():
        return [(sample.heading, "") for sample in SAMPLES]
    pattern = re.compile(r"^ *#+ *(?P<heading>.+?) *$|^ *```json\n(?P<json>.*?)^ *```", re.MULTILINE | re.DOTALL)
    heading, samples = "", []
    for match in pattern.finditer(DOCUMENT.read_text(encoding="utf-8")):
        heading = match["heading"] or heading
        if match["json"]:
            samples.append((heading, match["json"]))
    return samples


def filled_in(text: str, choice: int) -> str:
    """``text`` completed: a value for each placeholder, commas and brackets corrected."""
    text = re.sub(r'("Mode": *)0/1', r"\g<1>1", text)
    text = re.sub(r"\d(?:/\d)+(?=[,\s])", lambda found: found[0].split("/")[choice], text)
    text = text.replace('"user_type"', '"user_1"').replace('"$user_$Type"', '"user_1"').replace("****", "")
    text = re.sub(r": xxx\b", ": 1613994034000", text)
    text = re.sub(r"^\s*\.\.\.\s*$", "", text, flags=re.MULTILINE)
    text = re.sub(r",(?=\s*[}\]])", "", text)
    missing, extra = text.count("{") - text.count("}"), text.count("}") - text.count("{")
    return text + "}" * missing if extra <= 0 else text[: text.rindex("}")]


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


CASES: Final = [
    pytest.param(sample, text, id=f"{number}-{sample.heading.split()[0]}")
    for number, (sample, (_, text)) in enumerate(zip(SAMPLES, printed_samples(), strict=False))
]


def test_the_table_names_every_sample_of_the_document() -> None:
    assert [heading for heading, _ in printed_samples()] == [sample.heading for sample in SAMPLES]


@pytest.mark.parametrize("choice", [0, -1], ids=["first-choices", "last-choices"])
@pytest.mark.parametrize(("sample", "text"), CASES)
def test_sample_with_placeholders_filled_in(sample: Sample, text: str, choice: int) -> None:
    complete = filled_in(text, choice)
    json.loads(complete)
    if sample.kind == "index":
        index = read_index(complete.encode())
        assert [recording.key for recording in index.files] == ["dir1/dir2/xxx.mp4", "dir1/dir2/xxx.webm"]
        return
    if sample.refused:
        with pytest.raises(SpecError) as refusal:
            read_job(complete.encode())
        assert tuple((problem.path, problem.code) for problem in refusal.value.problems) == sample.refused
        return
    job = read_job(complete.encode())
    assert tuple(warning.path for warning in job.warnings) == sample.warned


@pytest.mark.parametrize("choice", [0, -1], ids=["first-choices", "last-choices"])
def test_start_request_of_4_1_with_its_sample_rate_corrected(choice: int) -> None:
    text = filled_in(printed_samples()[4][1], choice).replace("4800,", "48000,").replace("4800\n", "48000\n")
    job = read_job(text.encode())
    assert job.output_key == "xxx.mp4"
    assert job.subscription.manual == (choice == -1)
    assert {warning.path for warning in job.warnings} == {
        "Data",
        "Data.RecordingConfig.FileType",
        "Data.RecordingConfig.MediaChannel",
        "Data.MixerConfig.WaterMark.Alpha" if choice == 0 else "Data.MixerConfig.WaterMark.Text",
    }


@pytest.mark.parametrize(("sample", "text"), CASES)
def test_sample_as_it_is_printed_is_refused(sample: Sample, text: str) -> None:
    reader = read_index if sample.kind == "index" else read_job
    with pytest.raises((SpecError, InputError)) as refusal:
        reader(text.encode())
    assert str(refusal.value).startswith("Action: " if is_json(text) else (THE_JOB, THE_INDEX))


def test_choices_and_trailing_commas_of_the_document_say_what_to_write() -> None:
    texts = [text for _, text in printed_samples()]
    with pytest.raises(SpecError, match=r"line 9, column 17: numbers with slashes, .* list the choices"):
        read_job(texts[2].encode())
    with pytest.raises(SpecError, match=r"the comma after the last entry is not JSON; remove it"):
        read_job(texts[6].encode())


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("job.subscribe.update", []),
        ("job.mixer.update", ["WaterMark.Alpha: 0.1 is nearly invisible"]),
        ("job.transcoding.update", ["a file has one Video.Profile"]),
        ("job.update", ["nothing by its NotifyConfig", "BackgroundColor only counts", "a file has one Video.Profile"]),
    ],
)
def test_a_message_that_updates_a_room_is_read_with_a_time(action: str, told: list[str]) -> None:
    """With its tokens and ids."""
    texts = [text for _, text in printed_samples() if re.search(rf'"Action": *"{re.escape(action)}"', text)]
    (message,) = (json.loads(filled_in(text, 0)) for text in texts)
    job = {
        "Action": "job.start",
        "Internal": {"JobId": "room-1"},
        "Data": {
            "TranscodingConfig": {"Video": {"Width": 1920, "Height": 1080}},
            "RecordingConfig": {"StorageConfig": {"Vendor": "local", "Bucket": "."}},
            "Updates": [message | {"At": 5}],
        },
    }
    spec = read_job(json.dumps(job).encode())
    assert spec.updates
    begins = RoomState(spec.mixer, spec.subscription, 1000)
    (change,), warnings = spec.updates.course(begins, lambda _: Fraction(5))
    assert (change.action, change.at_s) == (action, Fraction(5))
    assert len(warnings) == len(told)
    assert all(about in str(warning) for about, warning in zip(told, warnings, strict=True))
