"""Alerts are about metrics that there are."""

from __future__ import annotations

import re
from typing import Any, Final

import jsonschema

from owtmix.batch.metrics import render
from owtmix.batch.policy import STATES
from owtmix.batch.tally import Tally
from tests.deploy.recipes import read_yaml

RULES: Final = read_yaml("prometheus/owt-batch.rules.yml")
WORDS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
RULE: Final = {
    "type": "object",
    "required": ["alert", "expr", "labels", "annotations"],
    "properties": {
        "alert": {"type": "string", "pattern": "^OwtBatch[A-Za-z]+$"},
        "expr": {"type": "string"},
        "for": {"type": "string", "pattern": r"^\d+[smhd]$"},
        "labels": WORDS,
        "annotations": {**WORDS, "required": ["summary"]},
    },
    "additionalProperties": False,
}


def rules() -> list[dict[str, Any]]:
    (group,) = RULES["groups"]
    return list(group["rules"])


def test_rules_have_what_prometheus_wants() -> None:
    for rule in rules():
        jsonschema.validate(rule, RULE)


def test_metrics_and_states_exist() -> None:
    written = set(re.findall(r"^# TYPE (\S+)", render(Tally(), "night", 0, 0, 0, 0), re.MULTILINE))
    for rule in rules():
        used = set(re.findall(r"\b(?:owtmix|node)_\w+", rule["expr"]))
        assert used
        assert used <= written
        for states in re.findall(r'state=~?"([^"]+)"', rule["expr"]):
            assert set(states.split("|")) <= {*STATES, "waiting", "running"}


def test_each_batch_of_a_machine_is_watched_by_itself() -> None:
    """Whatever its file is called: metrics are joined by the label that each batch has for itself."""
    for rule in rules():
        assert "file" not in rule["expr"]
        for labels in re.findall(r"\b(?:on|by) \(([^)]*)\)", rule["expr"]):
            assert labels == "instance, queue"
