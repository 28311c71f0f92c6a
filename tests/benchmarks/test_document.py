"""Results become tables, and what is documented is what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.document import EMPTY, PAGE, paragraphs, targets, written
from benchmarks.results import RESULTS, newest
from benchmarks.tables import HEADINGS, floor_of, scene_table, targets_table


def _engine(wall_s: float, cpu_s: float, **more: Any) -> dict[str, Any]:
    rounds = [
        {"wall_s": wall_s * times, "cpu_s": cpu_s * times, "tree_mib": 300.0, "process_mib": 200.0}
        for times in (1, 5, 0.5)
    ]
    return {
        "rounds": rounds,
        "bytes": 7_500_000,
        "vmaf": 94.5,
        "vmaf_neg": 93.0,
        "psnr_db": 41.25,
        "course_mib": [300] * 30,
    } | more


STAGES: Final = {"stages": {"planning": 1, "composing": 9}}
FLOOR: Final = {"decode_picture_s": 8.0, "decode_sound_s": 1.0, "encode_picture_s": 10.0, "encode_sound_s": 1.0}
SCENE: Final = {
    "seconds": 60.0,
    "frames": 900,
    "floor": [FLOOR, FLOOR | {"encode_picture_s": 90.0}, FLOOR],
    "engines": {
        "owtmix, 1 worker": _engine(20, 21),
        "owtmix, 2 workers": _engine(10, 21, **STAGES),
        "ffmpeg graph": _engine(16, 30),
        "ffmpeg graph, plain veryfast": _engine(25, 40, vmaf_neg=93.3),
        "MLT melt": {"rounds": [], "missing": "not installed"},
    },
    "start_s": [1.2, 1.1, 9.0],
}
CHUNKS: Final = {
    "made_s": [1.0] * 64,
    "joints_s": [0.0] + [0.25] * 63,
    "costs": [1] * 64,
    "mixing_s": 1.0,
    "encoding_s": 0.5,
    "mixing_cost": 1,
}
DOCUMENT: Final = {
    "measured": "2026-11-25T03:00:00Z",
    "commit": "abcdef0",
    "machine": "Example CPU, 2 cores",
    "cores": 2,
    "python": "3.11.7",
    "ffmpeg": "n9",
    "scenes": dict.fromkeys(("grid4", "lively9", "hour"), SCENE),
    "chunks": {"hour": CHUNKS},
}


def _row(table: str, name: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_medians_and_ratios() -> None:
    row = dict(zip(HEADINGS, _row(scene_table(SCENE, 2), "owtmix, 2 workers"), strict=True))
    assert row["wall s"] == "10.0"
    assert row["x real time"] == "6.00"
    assert row["x real time per core"] == "2.86"
    assert row["CPU / floor"] == "1.05"
    assert row["cores busy"] == "1.05"
    assert row["kbit/s"] == "1000"


def test_the_floor_has_costs_and_no_time() -> None:
    row = dict(zip(HEADINGS, _row(scene_table(SCENE, 2), "*floor*"), strict=True))
    costs = {"x real time per core": "3.00", "CPU s": "20.0", "CPU / floor": "1.00"}
    assert {name: cell for name, cell in row.items() if cell != "-"} == costs | {"engine": "*floor*"}


def test_the_floor_is_the_sum_of_the_medians_of_its_parts() -> None:
    assert floor_of(SCENE) == 20
    assert floor_of(SCENE | {"floor": []}) is None


def test_who_did_not_run_says_why() -> None:
    assert _row(scene_table(SCENE, 2), "MLT melt")[1] == "not installed"


@pytest.mark.parametrize(
    ("about", "measured", "met"),
    [
        ("grid4: CPU / floor", "1.05", "yes"),
        ("lecture: CPU / floor", "not measured", "-"),
        ("grid4: times as fast as FFmpeg's graph", "1.60", "yes"),
        ("lively9: times as fast as FFmpeg's better way, same options", "1.60", "yes"),
        ("onekey: times as fast as FFmpeg's better way, same options", "not measured", "-"),
        ("lively9: VMAF NEG above plain `-preset veryfast`", "-0.30", "**no**"),
        ("grid4: s of a whole job of one frame", "1.20", "**no**"),
        ("hour: memory of the second half / first half", "1.00", "yes"),
        ("hour: cores busy with 16 workers, simulated", "0.78", "**no**"),
    ],
)
def test_targets_stand_beside_what_was_measured(about: str, measured: str, met: str) -> None:
    assert _row(targets_table(list(targets(DOCUMENT))), about)[2:] == [measured, met]


def test_nothing_measured_is_said_of_every_target() -> None:
    assert {found for _, _, found, _ in targets({"cores": 2})} == {"not measured"}


def test_everything_measured_is_told() -> None:
    told = "\n\n".join(paragraphs(DOCUMENT, "x.json"))
    assert "### lively9: nine 720p30 people" in told
    assert "| hour | 64 | 1.0 | 0.25 | 1.00 |" in told


GPU: Final = {
    "cores": 8,
    "copied_bytes_per_s": 250e9,
    "used_mib": 900,
    "kernels": [
        {"canvas": "1920x1080", "tiles": 25, "frames_per_launch": times, "frame_us": 40.0, "share_of_copying": share}
        for times, share in ((1, 0.55), (4, 0.7))
    ],
    "decoded_per_s": {"cpu": [300.0, 410.0], "cuda:0": [900.0, 1700.0]},
    "composing_s": {"cpu": 24.0, "cuda:0": 2.0},
    "jobs": SCENE
    | {"floor": [], "engines": {"owtmix, 8 workers, cuda:0": _engine(4, 20), "ffmpeg graph": _engine(16, 30)}},
}


def test_what_was_measured_on_a_gpu_is_told_with_its_targets() -> None:
    document = DOCUMENT | {"gpu": {"NVIDIA L4 draws and encodes": GPU}}
    told = "\n\n".join(paragraphs(document, "x.json"))
    assert "### Graphics card: NVIDIA L4 draws and encodes" in told
    assert _row(told, "drawing: lowest share of what copying takes")[1:] == ["at least 0.6", "0.55", "**no**"]
    assert _row(told, "crowd25: times as fast as FFmpeg with x264 on the same cores")[2:] == ["4.00", "yes"]
    assert _row(told, "decoding and composing: times as fast as on the CPU")[2:] == ["12.00", "yes"]
    assert "| 1920x1080 | 25 | 4 | 40 | 70% |" in told
    assert "| cuda:0 | 900 | 1700 |" in told


def test_what_stands_around_the_results_stays(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    path = tmp_path / "x.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    changed = written(page, path)
    assert "Example CPU" in changed
    assert written(changed, None) == written(page, None)
    assert EMPTY in written(page, None)


def test_what_the_newest_result_lacks_is_told_from_an_older_one(tmp_path: Path) -> None:
    older, newer = tmp_path / "older.json", tmp_path / "newer.json"
    older.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    later = {key: value for key, value in DOCUMENT.items() if key != "chunks"} | {"measured": "2026-11-26T03:00:00Z"}
    newer.write_text(json.dumps(later), encoding="utf-8")
    page = written(PAGE.read_text(encoding="utf-8"), newest(tmp_path))
    assert "`benchmarks/results/newer.json`: commit" in page
    assert "From `benchmarks/results/older.json`." in page
    assert "| hour | 64 | 1.0 | 0.25 | 1.00 |" in page


def test_the_documented_tables_are_those_of_the_newest_result() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, newest(RESULTS, "scenes")) == page
