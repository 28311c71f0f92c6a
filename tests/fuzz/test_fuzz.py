"""A short run of the fuzzer with fixed seeds; ``make fuzz`` is the long one."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.__main__ import keep_finding
from tests.fuzz.answer_rounds import try_leftovers, try_receiver_answers, try_store_answers
from tests.fuzz.mutation import mutate, mutate_document, mutate_text
from tests.fuzz.rounds import Corpus, gather, try_composing, try_documents, try_planning, try_probing


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return gather(tmp_path_factory.mktemp("fuzz") / "corpus", None)


@pytest.mark.parametrize("seed", range(5))
def test_documents_are_accepted_or_refused_with_a_message(corpus: Corpus, seed: int, tmp_path: Path) -> None:
    try_documents(corpus, Random(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_recordings_are_probed_or_refused_with_a_message(corpus: Corpus, seed: int, tmp_path: Path) -> None:
    try_probing(corpus, Random(seed), tmp_path)


@pytest.mark.parametrize("seed", range(2))
def test_jobs_are_planned_or_refused_with_a_message(corpus: Corpus, seed: int, tmp_path: Path) -> None:
    try_planning(corpus, Random(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_a_room_is_composed_whatever_its_recordings_are(corpus: Corpus, seed: int, tmp_path: Path) -> None:
    try_composing(corpus, Random(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_store_answers_a_call_ends_with_a_message(corpus: Corpus, seed: int, tmp_path: Path) -> None:
    try_store_answers(corpus, Random(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_receiver_answers_the_run_ends(corpus: Corpus, seed: int, tmp_path: Path) -> None:
    try_receiver_answers(corpus, Random(seed), tmp_path)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_runs_left_the_next_one_begins(corpus: Corpus, seed: int, tmp_path: Path) -> None:
    try_leftovers(corpus, Random(seed), tmp_path)


def test_the_same_seed_gives_the_same_input(corpus: Corpus) -> None:
    def tried() -> tuple[bytes, object, bytes]:
        chance = Random(5)
        changed = mutate_document(corpus.job, chance)
        return mutate(corpus.media["a_1.mp4"], chance), changed, mutate_text(changed, chance)

    assert tried() == tried()
    assert tried()[0] != corpus.media["a_1.mp4"]
    assert tried()[1] != corpus.job


def test_a_finding_is_kept_with_what_repeats_it_on_another_file_system(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        other = tmp_path
    folder = other / f"owtmix-{os.getpid()}" / "4711"
    folder.mkdir(parents=True)
    try:
        (folder / "cfg.json").write_text("{}")
        (folder / "link").symlink_to("nowhere")
        for _ in range(2):
            told = keep_finding(folder, tmp_path / "kept", "try_planning", "the trace")
    finally:
        (folder / "cfg.json").unlink()
        (folder / "link").unlink()
        folder.rmdir()
        folder.parent.rmdir()
    kept = tmp_path / "kept" / "try_planning-4711"
    assert (kept / "cfg.json").read_text() == "{}"
    assert "--kind try_planning --seed 4711" in told
    assert (kept / "finding.txt").read_text().endswith("the trace")


def test_a_finding_that_cannot_be_kept_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("")
    (tmp_path / "1").mkdir()
    assert "the trace" in keep_finding(tmp_path / "1", tmp_path / "kept", "try_planning", "the trace")
