"""What the pod of a run asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.limits import RunLimits
from domain.runs import RunPurpose, RunRequest
from sandbox.kubernetes.manifest import ANNOTATION_SPEC, Placement, PodImage, manifest, pod_name

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IMAGE = PodImage(reference=f"localhost/default@sha256:{'a' * 64}")
PLACEMENT = Placement(namespace="executions", images={"default": IMAGE})


def a_request(run_id: str = "eval_a-execution", **parts: Any) -> RunRequest:
    return RunRequest.model_validate(
        {
            "run_id": run_id,
            "purpose": RunPurpose.EXECUTION,
            "script": b"print(1)",
            "model_id": "m",
            "environment": "default",
            "timeout_seconds": 10,
            **parts,
        }
    )


def spec_of(request: RunRequest | None = None, **placement: Any) -> dict[str, Any]:
    return manifest(request or a_request(), PLACEMENT.model_copy(update=placement), "a", NOW)["spec"]


def test_a_run_has_the_same_name_and_spec_whoever_attempts_it() -> None:
    first, second = (manifest(a_request(), PLACEMENT, str(at), at) for at in (NOW, datetime(2027, 1, 1, tzinfo=UTC)))

    assert first["metadata"]["name"] == second["metadata"]["name"] == pod_name("eval_a-execution")
    assert first["metadata"]["annotations"][ANNOTATION_SPEC] == second["metadata"]["annotations"][ANNOTATION_SPEC]


@pytest.mark.parametrize("other", [{"timeout_seconds": 11}, {"limits": RunLimits(memory_bytes=1 << 30)}])
def test_another_order_of_the_same_run_has_another_hash(other: dict[str, Any]) -> None:
    hashes = [
        manifest(request, PLACEMENT, "a", NOW)["metadata"]["annotations"][ANNOTATION_SPEC]
        for request in (a_request(), a_request(**other))
    ]

    assert hashes[0] != hashes[1]


def test_every_run_has_a_user_of_its_own() -> None:
    users = {spec_of(a_request(f"eval_{n}-execution"))["securityContext"]["runAsUser"] for n in range(200)}

    assert len(users) == 200
    assert all(0 < user < 2**31 for user in users)


def test_the_script_reaches_the_pod_by_its_input_alone() -> None:
    container = spec_of(a_request(script=b"secret words"))["containers"][0]

    assert "secret words" not in str(container)
    assert (container["stdin"], container["stdinOnce"]) == (True, False)
    assert "env" not in container


def test_nothing_is_to_be_stolen_and_nothing_to_be_reached() -> None:
    spec = spec_of()

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["dnsPolicy"] == "None"
    assert not any(spec[field] for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"))


def test_a_node_that_runs_out_never_chooses_this_pod() -> None:
    resources = spec_of()["containers"][0]["resources"]

    for bounded in ("memory", "ephemeral-storage"):
        assert resources["requests"][bounded] == resources["limits"][bounded]


def test_scratch_is_memory_and_a_full_one_fits_beside_what_the_script_may_have() -> None:
    limits = RunLimits(memory_bytes=256 << 20, disk_bytes=32 << 20)
    spec = spec_of(a_request(limits=limits))

    assert [volume["emptyDir"] for volume in spec["volumes"]] == [{"medium": "Memory", "sizeLimit": str(32 << 20)}]
    assert int(spec["containers"][0]["resources"]["limits"]["memory"]) > limits.memory_bytes + limits.disk_bytes


def test_the_kubelets_deadline_is_later_than_the_runners() -> None:
    assert spec_of(a_request(timeout_seconds=9.5))["activeDeadlineSeconds"] > 10


def test_what_the_operator_configures_is_in_the_pod() -> None:
    spec = spec_of(runtime_class="gvisor", user_namespace=True, node_selector={"pool": "scripts"})

    assert (spec["runtimeClassName"], spec["hostUsers"], spec["nodeSelector"]) == ("gvisor", False, {"pool": "scripts"})
    assert spec["securityContext"]["runAsUser"] < 65536


def test_groups_and_a_profile_of_the_nodes_are_in_the_pod_where_its_nodes_know_them() -> None:
    context = spec_of(strict_groups=True, apparmor=True)["securityContext"]

    assert (context["supplementalGroupsPolicy"], context["appArmorProfile"]) == ("Strict", {"type": "RuntimeDefault"})


def test_what_the_operator_did_not_configure_is_absent() -> None:
    spec = spec_of()

    assert not {"runtimeClassName", "hostUsers", "nodeSelector", "priorityClassName"} & set(spec)
    assert not {"supplementalGroupsPolicy", "appArmorProfile"} & set(spec["securityContext"])


def test_an_environment_without_an_image_is_not_run() -> None:
    with pytest.raises(KeyError):
        spec_of(a_request(environment="other"))


@pytest.mark.parametrize("reference", ["python:3.11", "python@sha256:abc", "registry.example/python:latest"])
def test_an_image_is_named_by_its_digest(reference: str) -> None:
    with pytest.raises(ValueError, match="reference"):
        PodImage(reference=reference)
