"""Measurements are kept under name and version."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.inputs.probe_cache import ProbeCache, remove_unused
from owtmix.inputs.source_file import SourceFile
from owtmix.plan.media_info import ClockRules, Damage, Probe, Section, TimeBreak
from owtmix.storage import LocalCopy
from tests.support.plans import picture, sound

RULES = ClockRules()
PROBE = Probe(
    replace(picture([0, 1, 2]), sections=(Section(0, 0), Section(7, None), Section(9, -5))),
    (sound(0, 3),),
    Fraction(-7, 1000),
    (Fraction(1), Fraction(2), Fraction(3)),
    Damage(2, Fraction(1, 3)),
    breaks=(TimeBreak("picture", "jump", Fraction(2), Fraction(7200)),),
    flaws=("it ends early",),
)


@pytest.fixture
def file(tmp_path: Path) -> SourceFile:
    path = tmp_path / "a.webm"
    path.write_bytes(b"recording")
    return SourceFile("a.webm", LocalCopy(path))


@pytest.fixture
def kept(tmp_path: Path) -> ProbeCache:
    return ProbeCache(tmp_path / "probes", RULES)


def test_what_was_kept_is_found_exactly(kept: ProbeCache, file: SourceFile) -> None:
    assert kept.find("/store/a.webm", file) is None
    kept.keep("/store/a.webm", file, PROBE)
    assert kept.find("/store/a.webm", file) == PROBE


def test_another_name_version_or_rule_is_another_measurement(
    kept: ProbeCache, file: SourceFile, tmp_path: Path
) -> None:
    kept.keep("/store/a.webm", file, PROBE)
    assert kept.find("/store/b.webm", file) is None
    assert ProbeCache(tmp_path / "probes", ClockRules(jump_s=Fraction(5))).find("/store/a.webm", file) is None
    file.path.write_bytes(b"another recording")
    assert kept.find("/store/a.webm", file) is None


def test_an_object_has_the_version_of_its_store_and_without_one_nothing_is_kept(
    kept: ProbeCache, tmp_path: Path
) -> None:
    away = SourceFile("a", LocalCopy(tmp_path / "x", 10, 0, "etag-1"))
    kept.keep("s3:a", away, PROBE)
    assert kept.find("s3:a", away) == PROBE
    assert kept.find("s3:a", SourceFile("a", LocalCopy(tmp_path / "x", 10, 0, "etag-2"))) is None
    without = SourceFile("b", LocalCopy(tmp_path / "y", 10, 0, None))
    kept.keep("s3:b", without, PROBE)
    assert kept.find("s3:b", without) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b'{"video": 3}', b"\xff"])
def test_junk_is_measured_again(kept: ProbeCache, file: SourceFile, tmp_path: Path, content: bytes) -> None:
    kept.keep("a", file, PROBE)
    (path,) = (tmp_path / "probes").iterdir()
    path.write_bytes(content)
    assert kept.find("a", file) is None
    kept.keep("a", file, PROBE)
    assert json.loads(path.read_text())


def test_what_was_not_used_for_days_is_removed(kept: ProbeCache, file: SourceFile, tmp_path: Path) -> None:
    kept.keep("old", file, PROBE)
    (path,) = (tmp_path / "probes").iterdir()
    os.utime(path, (0, 0))
    assert kept.find("old", file) == PROBE  # it is in use again
    kept.keep("older", file, PROBE)
    for entry in (tmp_path / "probes").iterdir():
        if entry != path:
            os.utime(entry, (0, 0))
    remove_unused(tmp_path / "probes", 7)
    assert list((tmp_path / "probes").iterdir()) == [path]


def test_a_disk_that_takes_nothing_is_no_error(file: SourceFile, tmp_path: Path) -> None:
    (tmp_path / "probes").write_bytes(b"a file")
    ProbeCache(tmp_path / "probes", RULES).keep("a", file, PROBE)
