"""A short run of the fuzzer with fixed seeds; ``make fuzz`` is the long one."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.mutation import mutate, mutate_document, mutate_text
from tests.fuzz.rounds import Corpus, gather, try_composing, try_documents, try_planning, try_probing


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return gather(tmp_path_factory.mktemp("fuzz") / "corpus", None)


@pytest.mark.parametrize("seed", range(5))
def test_documents_are_accepted_or_refused_with_a_message(corpus: Corpus, seed: int) -> None:
    chance = Random(seed)
    for _ in range(200):
        try_documents(corpus, chance)


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


def test_the_same_seed_gives_the_same_input(corpus: Corpus) -> None:
    def tried() -> tuple[bytes, object, bytes]:
        chance = Random(5)
        changed = mutate_document(corpus.job, chance)
        return mutate(corpus.media["a_1.mp4"], chance), changed, mutate_text(changed, chance)

    assert tried() == tried()
    assert tried()[0] != corpus.media["a_1.mp4"]
    assert tried()[1] != corpus.job
