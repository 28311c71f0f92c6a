"""The compose file: an image that the Dockerfile makes, a command that is one, no secret, and little that it may do."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from owtmix.service.arguments import read_arguments
from tests.deploy.recipes import DEPLOY, DOCKERFILE

FILE: Final = DEPLOY / "compose" / "compose.yaml"
SERVER: Final[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]["server"]


def test_its_image_is_made_by_the_dockerfile() -> None:
    dockerfile = DOCKERFILE.read_text(encoding="utf-8")
    assert f" AS {SERVER['build']['target']}\n" in dockerfile
    assert (FILE.parent / SERVER["build"]["context"] / "Dockerfile").resolve() == DOCKERFILE


def test_it_listens_on_loopback_where_its_health_is_asked_for() -> None:
    program, *options = SERVER["command"]
    listener = read_arguments(options).listen
    assert program == "owt-server"
    assert listener
    assert listener.is_loopback
    assert f"http://{listener}/healthz" in SERVER["healthcheck"]["test"][-1]


def test_it_may_do_little_and_has_time_to_end() -> None:
    assert (SERVER["read_only"], SERVER["cap_drop"]) == (True, ["ALL"])
    assert SERVER["security_opt"] == ["no-new-privileges:true"]
    assert SERVER["stop_grace_period"] == "15m"


def test_secrets_come_from_the_environment() -> None:
    for value in SERVER["environment"].values():
        assert re.fullmatch(r"\$\{[A-Z_]+:-\}", value)
