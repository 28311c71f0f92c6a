"""The recipes for Kubernetes and KubeRay: valid, confined, and of one mind with exit statuses and versions."""

from __future__ import annotations

import re
import shlex
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest

from owtmix.cli.arguments import read_arguments
from tests.deploy.recipes import GRACE_S, ROOT, batch_arguments, read_yaml, without_cluster

JOB: Final = read_yaml("kubernetes/indexed-job.yaml")
RAY_JOB: Final = read_yaml("kuberay/rayjob.yaml")
CLUSTER: Final = RAY_JOB["spec"]["rayClusterSpec"]
PODS: Final = {
    "job": JOB["spec"]["template"],
    "head": CLUSTER["headGroupSpec"]["template"],
    "worker": CLUSTER["workerGroupSpecs"][0]["template"],
}
VERSION: Final = kubernetes_validate.latest_version()

COUNT: Final = {"type": "integer", "minimum": 0}
WORD: Final = {"type": "string", "minLength": 1}


def fields(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


START: Final = {"type": "object", "additionalProperties": {"type": "string"}}
RAY_JOB_SCHEMA: Final = fields(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields("name", name=WORD, labels={"type": "object"}),
    spec=fields(
        "entrypoint rayClusterSpec",
        entrypoint=WORD,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        runtimeEnvYAML=WORD,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        activeDeadlineSeconds=COUNT,
        backoffLimit=COUNT,
        rayClusterSpec=fields(
            "headGroupSpec",
            rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
            authOptions=fields("mode", mode={"enum": ["disabled", "token"]}),
            headGroupSpec=fields("template", rayStartParams=START, template={"type": "object"}),
            workerGroupSpecs={
                "type": "array",
                "items": fields(
                    "groupName maxReplicas minReplicas template",
                    groupName=WORD,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=START,
                    template={"type": "object"},
                ),
            },
        ),
    ),
)
"""What KubeRay's API reference (1.6) says of the fields that the recipe uses; a field that is not here is a mistake."""


def policy(status: int) -> str:
    """What the Job does after an exit status."""
    for rule in JOB["spec"]["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes")
        if codes and (status in codes["values"]) == (codes["operator"] == "In"):
            return str(rule["action"])
    return "Count"


def test_the_job_is_valid() -> None:
    kubernetes_validate.validate(JOB, VERSION, strict=True)


def test_a_mistake_in_the_job_would_be_found() -> None:
    wrong = {**JOB, "spec": {**JOB["spec"], "paralelism": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (1, "FailJob"),
        (2, "FailIndex"),
        (3, "Count"),
        (4, "Count"),
        (5, "Count"),
        (6, "Ignore"),
        (130, "Ignore"),
        (137, "Count"),
    ],
)
def test_exit_statuses_become_policies(status: int, action: str) -> None:
    assert policy(status) == action


def test_a_room_that_fails_stops_no_other() -> None:
    assert JOB["spec"]["maxFailedIndexes"] >= JOB["spec"]["completions"]
    assert JOB["spec"]["backoffLimitPerIndex"] == 2  # as owt-batch --attempts 3


def test_the_job_runs_a_command_that_there_is() -> None:
    container = JOB["spec"]["template"]["spec"]["containers"][0]
    words = container["command"] + container["args"]
    assert words[0] == "owt-main"
    assert read_arguments(words[1:])


def test_the_ray_job_is_structured_as_kuberay_wants() -> None:
    jsonschema.validate(RAY_JOB, RAY_JOB_SCHEMA)


@pytest.mark.parametrize("name", PODS)
def test_pods_are_valid_and_confined(name: str) -> None:
    pod = PODS[name]
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod["spec"]}
    kubernetes_validate.validate(document, VERSION, strict=True)
    user = pod["spec"]["securityContext"]
    assert (user["runAsNonRoot"], user["runAsUser"]) == (True, 10001)
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    for container in pod["spec"]["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_draining_is_given_its_time() -> None:
    shell, script = RAY_JOB["spec"]["entrypoint"].split(" -c ")
    assert shell == "sh"
    command = shlex.split(shlex.split(script)[0].partition(";")[0])
    assert batch_arguments(without_cluster(command)).grace_s == GRACE_S
    for name in ("head", "worker"):
        assert PODS[name]["spec"]["terminationGracePeriodSeconds"] > GRACE_S
    assert 'RAY_JOB_STOP_WAIT_TIME_S: "120"' in RAY_JOB["spec"]["runtimeEnvYAML"]


def test_the_version_of_ray_is_the_pinned_one() -> None:
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert CLUSTER["authOptions"]["mode"] == "token"
    assert pinned is None or pinned[1] == CLUSTER["rayVersion"]
