"""The list of experiments."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.lab.__main__ import EXPERIMENTS, listing, main


def test_every_experiment_is_listed_with_a_line_of_help() -> None:
    lines = listing().splitlines()[2:]
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_explains_its_options(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert not end.value.code
    assert f"usage: python -m benchmarks.lab {name}" in capsys.readouterr().out


def test_an_unknown_experiment_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.lab", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no experiment nothing" in done.stderr
