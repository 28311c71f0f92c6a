"""The CPU time of functions that call each other."""

from __future__ import annotations

from benchmarks.lab.cpu_time import Profile


def test_what_a_function_calls_is_not_counted_twice() -> None:
    profile = Profile()
    inner = profile.watch("inner", lambda: sum(range(300_000)))
    profile.watch("outer", lambda: [inner() for _ in range(5)])()
    assert profile.calls == {"inner": 5, "outer": 1}
    assert profile.spent_s["outer"] < profile.spent_s["inner"]
