"""QUEUE: folders and manifests, and everything that may be wrong with them."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from owtmix.batch.attempt import BatchJob
from owtmix.batch.manifest import LONGEST_LINE
from owtmix.batch.problems import QueueError
from owtmix.batch.queue import folder_of, read_queue


def write_job(folder: Path, name: str, job_id: str | None = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"Action": "job.start", "Internal": {"JobId": job_id or path.stem}}))
    return path


def manifest(folder: Path, *lines: object) -> str:
    path = folder / "jobs.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_bytes("".join(f"{text}\n" for text in texts).encode(errors="surrogateescape"))
    return str(path)


def jobs(folder: Path, *lines: object) -> dict[str, BatchJob]:
    return {job.id: job for job in read_queue(manifest(folder, *lines)).jobs}


def problems(source: str) -> tuple[str, ...]:
    with pytest.raises(QueueError) as error:
        read_queue(source)
    return error.value.problems


def test_the_jobs_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.json", "a/cfg.json", "deep/er/cfg.json", "c/other.json"):
        write_job(tmp_path, name, name.replace("/", "-").removesuffix(".json"))
    (tmp_path / "index.json").write_text('{"JobId": "x", "Files": []}')
    (tmp_path / "broken.json").write_text('{"Action": "job.start", ')
    (tmp_path / "results.jsonl").write_text("")
    queue = read_queue(str(tmp_path))
    assert [job.id for job in queue.jobs] == ["a-cfg", "b", "broken.json"]
    assert queue.others == ("index.json",)
    assert folder_of(str(tmp_path)) == tmp_path


def test_the_jobs_of_a_manifest(tmp_path: Path) -> None:
    write_job(tmp_path, "a.json")
    write_job(tmp_path / "rooms", "b.json")
    found = jobs(
        tmp_path,
        {"cfg": "a.json"},
        "",
        {"cfg": "rooms/b.json", "id": "B", "priority": -2, "cost": 1.5, "device": "cuda:1", "index": None},
        {"cfg": str(tmp_path / "a.json"), "set": {"Internal.JobId": "c"}, "index": "./i.json", "output": "out/c.mp4"},
        {"cfg": "a.json", "set": {"Internal": {"JobId": "d"}}, "output": "../d.mp4"},
    )
    assert [*found] == ["a", "B", "c", "d"]
    b, c, d = found["B"], found["c"], found["d"]
    assert (b.cfg, b.priority, b.cost, b.device) == (tmp_path / "rooms/b.json", -2, 1.5, "cuda:1")
    assert (c.index, c.output, d.output) == (str(tmp_path / "i.json"), "out/c.mp4", f"{tmp_path}/../d.mp4")
    assert folder_of(str(tmp_path / "jobs.jsonl")) == tmp_path


def test_values_are_set_as_they_are_meant(tmp_path: Path) -> None:
    """The text 1 is not the number 1, as it would be on a command line."""
    write_job(tmp_path, "a.json")
    values = {"A": "1", "B": 1, "C": 1.5, "D": True, "E": None, "F": ["x", 2.5], "G": {"H": "王"}}
    found = jobs(tmp_path, {"cfg": "a.json", "set": values})["a"].overrides
    assert {path: json.loads(text) for path, text in found.items()} == values
    assert found["A"] == '"1"'


def test_a_manifest_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_job(tmp_path, "a.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"cfg": "a.json"}')))
    assert [job.cfg for job in read_queue("-").jobs] == [tmp_path / "a.json"]
    assert folder_of("-") == tmp_path


def test_the_key_changes_with_the_job_and_its_options(tmp_path: Path) -> None:
    write_job(tmp_path, "a.json")
    plain = jobs(tmp_path, {"cfg": "a.json"})["a"].key
    assert jobs(tmp_path, {"cfg": "a.json", "priority": 3, "cost": 9})["a"].key == plain
    others: list[dict[str, Any]] = [{"set": {"A": 1}}, {"index": "i"}, {"output": "i"}, {"device": "cpu"}]
    keys = {jobs(tmp_path, {"cfg": "a.json"} | more)["a"].key for more in others}
    assert len(keys | {plain}) == 5
    (tmp_path / "a.json").write_text(json.dumps({"Action": "job.start", "Internal": {"JobId": "a"}, "Data": {}}))
    assert jobs(tmp_path, {"cfg": "a.json"})["a"].key != plain


def test_the_same_bytes_elsewhere_are_another_job(tmp_path: Path) -> None:
    """What a job file names is relative to it."""
    for night in ("night1", "night2"):
        write_job(tmp_path, f"{night}/cfg.json", "room")
    first, second = (jobs(tmp_path, {"cfg": f"{night}/cfg.json"})["room"].key for night in ("night1", "night2"))
    assert first != second
    spellings = ("night1/../night2/cfg.json", str(tmp_path / "night2/cfg.json"))
    assert {jobs(tmp_path, {"cfg": cfg})["room"].key for cfg in spellings} == {second}


@pytest.mark.parametrize("line", [{"cfg": "room/cfg.json"}, {"output": "./t.mp4"}, {"index": "./i.json"}])
def test_a_link_to_another_night_has_other_jobs(tmp_path: Path, line: dict[str, str]) -> None:
    line = {"cfg": str(write_job(tmp_path, "cfg.json", "room"))} | line
    keys = []
    for night in ("night1", "night2"):
        write_job(tmp_path, f"{night}/room/cfg.json", "room")
        manifest(tmp_path / night, line)
        (tmp_path / "latest").unlink(missing_ok=True)
        (tmp_path / "latest").symlink_to(night)
        for source in ("latest", night):
            keys += [job.key for job in read_queue(str(tmp_path / source / "jobs.jsonl")).jobs]
    assert keys[0] == keys[1] != keys[2] == keys[3]


WRONG: list[tuple[object, str]] = [
    ("{", "a closing bracket or quote is missing"),
    ("[]", "found a list [...]; a JSON object"),
    ('{"cfg": "a.json", "cfg": "a.json"}', "this key stands twice"),
    ('{"cfg": "a.json", "id": "\udcff"}', "this is not UTF-8"),
    ('{"cfg": "a.json", "cost": NaN}', "not a JSON number"),
    ('{"cfg": "a.json"} {}', "the JSON ends before this"),
    ("[" * 10_000, "nested deeper"),
    ({}, "cfg: missing"),
    ({"cfg": None}, "cfg: missing"),
    ({"cfg": 1}, "cfg: found a number"),
    ({"cfg": ""}, "cfg: found text; accepted: the path of a job file"),
    ({"cfg": "x" * 5000}, "cfg: found text"),
    ({"cfg": "x" * 300}, "a name in it has more than 255 bytes"),
    ({"cfg": "a\0"}, "a\\x00 cannot be read: it has a NUL"),
    ({"cfg": "missing.json"}, "missing.json cannot be read: No such file or directory"),
    ({"cfg": "."}, "cannot be read: "),
    ({"cfg": "a.json", "Cfg": "a.json"}, "Cfg: an unknown key; known are cfg, id, set,"),
    ({"cfg": "a.json", "\x1b[31m": 1}, "\\x1b[31m: an unknown key"),
    ({"cfg": "a.json", "id": 7}, "id: found a number"),
    ({"cfg": "a.json", "id": "x" * 257}, "id: found text; accepted: a name of the job, text of 1 to 256"),
    ({"cfg": "a.json", "set": []}, "set: found a list"),
    ({"cfg": "a.json", "set": {"": 1}}, "a path in it is none"),
    ({"cfg": "a.json", "set": {"a=b": 1}}, "a path in it is none"),
    ({"cfg": "a.json", "set": {str(number): 1 for number in range(101)}}, "at most 100 values"),
    ({"cfg": "a.json", "index": ["i"]}, "index: found a list"),
    ({"cfg": "a.json", "output": "a\nb"}, "output: found text"),
    ({"cfg": "a.json", "device": "gpu"}, "device: found text; accepted: auto, cpu, cuda"),
    ({"cfg": "a.json", "priority": 1.5}, "priority: found a number"),
    ({"cfg": "a.json", "priority": True}, "priority: found true"),
    ({"cfg": "a.json", "priority": 10**7}, "from -1,000,000 to 1,000,000"),
    ({"cfg": "a.json", "cost": -1}, "cost: found a number; accepted: a number from 0"),
    ({"cfg": "a.json", "cost": "long"}, "cost: found text"),
    ("x" * (LONGEST_LINE + 10), "a line has at most 65,536 bytes"),
]


@pytest.mark.parametrize(("line", "told"), WRONG)
def test_what_is_wrong_with_a_line_is_told(tmp_path: Path, line: object, told: str) -> None:
    write_job(tmp_path, "a.json")
    (found,) = problems(manifest(tmp_path, {"cfg": "a.json"}, line))
    assert found.startswith("line 2: ")
    assert told in found
    assert found.isprintable()


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    write_job(tmp_path, "a.json")
    found = problems(manifest(tmp_path, *(line for line, _ in WRONG), {"cfg": 1, "id": 2}))
    numbers = [int(problem.partition(":")[0].removeprefix("line ")) for problem in found]
    assert numbers == [*range(1, len(WRONG) + 1), len(WRONG) + 1, len(WRONG) + 1]


def test_a_thousand_broken_lines_are_named_up_to_a_hundred_in_words(tmp_path: Path) -> None:
    write_job(tmp_path, "a.json")
    found = problems(manifest(tmp_path, {"cfg": "a.json"}, *(["{"] * 1000)))
    assert len(found) == 101
    assert [problem.partition(",")[0].partition(":")[0] for problem in found[:100]] == [
        f"line {n}" for n in range(2, 102)
    ]
    assert found[-1] == "and 900 more: lines 102 to 1,001"


def test_of_many_broken_lines_those_between_good_ones_are_named(tmp_path: Path) -> None:
    write_job(tmp_path, "a.json")
    broken = [*["{"] * 100, "{", {"cfg": "a.json"}, "{", "{"]
    assert problems(manifest(tmp_path, *broken))[-1] == "and 3 more: line 101, lines 103 to 104"


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"cfg": "b.json", "id": "a"}, "line 1 has the id a, too"),
        ({"cfg": "a.json", "id": "again"}, "line 1 has the JobId a, too, so they would exclude each other"),
        ({"cfg": "b.json", "set": {"Internal.JobId": "a"}}, "line 1 has the id a, too"),
        ({"cfg": "b.json", "output": "./x.mp4"}, "output: line 1 writes to it, too"),
        ({"cfg": "b.json", "output": "sub/../x.mp4"}, None),
        ({"cfg": "b.json", "output": "./sub/../x.mp4"}, "output: line 1 writes to it, too"),
        ({"cfg": "a.json", "id": "again", "set": {"Internal.JobId": "b"}}, None),
    ],
)
def test_jobs_that_stand_in_each_others_way(tmp_path: Path, second: dict[str, Any], told: str | None) -> None:
    write_job(tmp_path, "a.json")
    write_job(tmp_path, "b.json")
    source = manifest(tmp_path, {"cfg": "a.json", "output": "./x.mp4"}, second)
    if told is None:
        assert len(read_queue(source).jobs) == 2
    else:
        (found,) = problems(source)
        assert found.startswith(f"line 2: {told}")


def test_two_job_files_in_a_folder_with_one_job_id(tmp_path: Path) -> None:
    write_job(tmp_path, "a/cfg.json", "room")
    write_job(tmp_path, "b/cfg.json", "room")
    assert problems(str(tmp_path)) == ("b/cfg.json: a/cfg.json has the id room, too",)


@pytest.mark.parametrize(
    "text",
    [
        r'{"Internal": {"JobId": "s\u0061me"}}',
        r'{"Internal": {"AppId": {"x": {}}, "JobId": "same"}}',
        '{"Data": {"NotifyConfig": [{"JobId": "other"}]}, "Internal": {"More": {}, "JobId": "same"}}',
        '{"Internal": {"JobId": "same"}, ',
    ],
)
def test_one_job_id_however_it_is_written(tmp_path: Path, text: str) -> None:
    write_job(tmp_path, "a.json", "same")
    (tmp_path / "b.json").write_text(text)
    (found,) = problems(manifest(tmp_path, {"cfg": "a.json"}, {"cfg": "b.json", "id": "b"}))
    assert found.startswith("line 2: line 1 has the JobId same, too")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("missing", "missing cannot be read: No such file"),
        ("empty", "empty has no job"),
        ("empty.jsonl", "empty.jsonl has no job"),
        ("cfg.json", "neither a folder nor a manifest *.jsonl nor -: owt-main composes a single job"),
    ],
)
def test_what_is_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").write_text("\n\n")
    write_job(tmp_path, "cfg.json")
    monkeypatch.chdir(tmp_path)
    (found,) = problems(source)
    assert told in found


def test_a_line_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("owtmix.batch.manifest._MOST_SKIPPED", 100)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    assert problems("-")[-1] == "line 1: this line does not end; what follows was not read"


@pytest.mark.slow
def test_many_lines_are_read_in_linear_time(tmp_path: Path) -> None:
    write_job(tmp_path, "a.json")

    def seconds(count: int) -> float:
        lines = [f'{{"cfg": "a.json", "set": {{"Internal.JobId": "r-{n}"}}}}' for n in range(count)]
        source = manifest(tmp_path, *lines)
        begun_s = time.process_time()
        assert len(read_queue(source).jobs) == count
        return time.process_time() - begun_s

    assert seconds(20_000) < 20 * seconds(2000)
