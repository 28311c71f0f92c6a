"""Measurements are kept under name and version."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.inputs.measurement_cache import PROBES, MeasurementCache, with_company
from owtmix.inputs.source_file import SourceFile
from owtmix.plan.exact_json import to_exact_json
from owtmix.plan.media_info import ClockRules, Damage, Probe, Section, TimeBreak
from owtmix.storage import LocalCopy, LocalStore
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


def found(path: Path) -> SourceFile:
    """The file as the store in its folder has it now."""
    return SourceFile(path.name, LocalStore(path.parent).locate(path.name, path.parent))


@pytest.fixture
def file(tmp_path: Path) -> SourceFile:
    path = tmp_path / "a.webm"
    path.write_bytes(b"recording")
    return found(path)


@pytest.fixture
def kept(tmp_path: Path) -> MeasurementCache:
    return MeasurementCache(tmp_path / "probes", RULES)


def test_what_was_kept_is_found_exactly(kept: MeasurementCache, file: SourceFile) -> None:
    assert kept.find(PROBES, "/store/a.webm", file) is None
    kept.keep(PROBES, "/store/a.webm", file, PROBE)
    assert kept.find(PROBES, "/store/a.webm", file) == PROBE


def test_another_name_version_or_rule_is_another_measurement(
    kept: MeasurementCache, file: SourceFile, tmp_path: Path
) -> None:
    kept.keep(PROBES, "/store/a.webm", file, PROBE)
    assert kept.find(PROBES, "/store/b.webm", file) is None
    assert (
        MeasurementCache(tmp_path / "probes", ClockRules(jump_s=Fraction(5))).find(PROBES, "/store/a.webm", file)
        is None
    )
    file.path.write_bytes(b"another recording")
    assert kept.find(PROBES, "/store/a.webm", found(file.path)) is None


def test_an_object_has_the_version_of_its_store_and_without_one_nothing_is_kept(
    kept: MeasurementCache, tmp_path: Path
) -> None:
    away = SourceFile("a", LocalCopy(tmp_path / "x", 10, 0, "etag-1"))
    kept.keep(PROBES, "s3:a", away, PROBE)
    assert kept.find(PROBES, "s3:a", away) == PROBE
    assert kept.find(PROBES, "s3:a", SourceFile("a", LocalCopy(tmp_path / "x", 10, 0, "etag-2"))) is None
    without = SourceFile("b", LocalCopy(tmp_path / "y", 10, 0, None))
    kept.keep(PROBES, "s3:b", without, PROBE)
    assert kept.find(PROBES, "s3:b", without) is None


JUNK = {
    "nothing": b"",
    "cut": b"{",
    "a list": b"[]",
    "no keys": b"{}",
    "null": b"null",
    "a wrong type": b'{"video": 3}',
    "binary": b"\xff\0\1",
    "deep": b"[" * 100_000,
    "a wild number": json.dumps(to_exact_json(Probe, PROBE)).replace("-7/1000", "1e999999999").encode(),
    "nothing below the line": json.dumps(to_exact_json(Probe, PROBE)).replace("-7/1000", "7/0").encode(),
    "many digits": b'{"video": null, "sounds": [], "start_s": ' + b"9" * 100_000 + b"}",
    "what no file has": json.dumps(to_exact_json(Probe, PROBE)).replace("-7/1000", "1" + "0" * 300).encode(),
    "no track": json.dumps(to_exact_json(Probe, replace(PROBE, video=None, sounds=()))).encode(),
    "too long": b" " * (PROBES.most_bytes + 1),
}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK)
def test_junk_is_measured_again_with_a_warning(
    kept: MeasurementCache, file: SourceFile, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept.keep(PROBES, "a", file, PROBE)
    (path,) = (tmp_path / "probes").iterdir()
    path.write_bytes(content)
    assert kept.find(PROBES, "a", file) is None
    assert "a.webm is measured again" in caplog.text
    kept.keep(PROBES, "a", file, PROBE)
    assert kept.find(PROBES, "a", file) == PROBE


def test_what_lies_in_place_of_a_measurement_is_not_followed(
    kept: MeasurementCache, file: SourceFile, tmp_path: Path
) -> None:
    kept.keep(PROBES, "a", file, PROBE)
    (path,) = (tmp_path / "probes").iterdir()
    target = path.rename(tmp_path / "target")
    path.symlink_to(target)
    assert kept.find(PROBES, "a", file) is None
    path.unlink()
    os.mkfifo(path)
    assert kept.find(PROBES, "a", file) is None  # and nobody waits for it
    path.unlink()
    path.symlink_to(target)
    target.write_text("precious")
    kept.keep(PROBES, "a", file, PROBE)
    assert target.read_text() == "precious"
    assert kept.find(PROBES, "a", file) == PROBE


def test_only_their_owner_can_read_measurements(kept: MeasurementCache, file: SourceFile, tmp_path: Path) -> None:
    kept.keep(PROBES, "a", file, PROBE)
    (path,) = (tmp_path / "probes").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_measurement_that_is_used_is_touched(kept: MeasurementCache, file: SourceFile, tmp_path: Path) -> None:
    kept.keep(PROBES, "a", file, PROBE)
    (path,) = (tmp_path / "probes").iterdir()
    os.utime(path, (0, 0))
    assert kept.find(PROBES, "a", file) == PROBE
    assert path.stat().st_mtime


def test_a_disk_that_takes_nothing_is_no_error(file: SourceFile, tmp_path: Path) -> None:
    (tmp_path / "probes").write_bytes(b"a file")
    MeasurementCache(tmp_path / "probes", RULES).keep(PROBES, "a", file, PROBE)


def test_what_is_kept_counts_only_in_the_same_company(tmp_path: Path) -> None:
    """An index that names recordings of several people as those of one: one of these may have measured all."""

    def files(*keys: str) -> dict[int, SourceFile]:
        copies = (LocalCopy(tmp_path / key, version=f"v-{key}") for key in keys)
        return {n: SourceFile(key, copy) for n, (key, copy) in enumerate(zip(keys, copies, strict=True))}

    def identity(owners: str, *keys: str) -> str:
        """That of the last of ``keys``, whose owners are a letter each."""
        found = with_company(dict(enumerate(keys)), files(*keys), owners.__getitem__)
        return found[len(keys) - 1]

    assert identity("ab", "alice", "bob") == identity("b", "bob") == identity("x", "bob")
    assert identity("mm", "alice", "bob") != identity("ab", "alice", "bob")
    assert identity("bbb", "bob2", "alice", "bob") == identity("bbb", "alice", "bob2", "bob")
