"""The simulated night: what the shipped policy promises."""

from __future__ import annotations

import pytest

from benchmarks.lab.night import NIGHTS, POLICIES, SHIPPED, Machine, Night, Policy, Run, main, simulate


@pytest.mark.parametrize("night", NIGHTS, ids=str)
def test_the_shipped_policy_is_within_two_percent_of_the_bound(night: Night) -> None:
    assert 0 <= simulate(night, SHIPPED, seed=0).above < 0.02


def test_what_it_is_compared_with_is_not() -> None:
    """Otherwise the night would be too easy to say anything."""
    crowd, long = NIGHTS
    assert simulate(crowd, "given", seed=0).above > 0.1
    assert simulate(long, "longest", seed=0).above > 1


@pytest.mark.parametrize("policy", POLICIES)
def test_one_job_on_one_core_takes_what_it_costs(policy: Policy) -> None:
    run = Run(3600, 1)
    assert Machine(1, [run], policy, seed=0).wall_s() == pytest.approx(run.alone_s)


def test_spare_places_shorten_a_lonely_job() -> None:
    run, alone = Run(36_000, 1), Run(36_000, 1)
    wall_s = Machine(8, [run], SHIPPED, seed=0).wall_s()
    assert Machine(8, [alone], "longest", seed=0).wall_s() == pytest.approx(alone.alone_s)
    assert run.least_s <= wall_s < alone.alone_s / 5


@pytest.mark.parametrize("policy", POLICIES)
def test_no_night_is_shorter_than_the_bound(policy: Policy) -> None:
    for night in (Night(1, 4), Night(9, 4), Night(40, 3, long_s=20_000)):
        assert simulate(night, policy, seed=1).above >= -1e-9


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.lab.night.NIGHTS", (Night(20, 4),))
    main(["--seeds", "2"])
    printed = capsys.readouterr().out
    assert printed.count("20 jobs on 4 cores: longest first") == 2
