from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_there_is_a_container_for_each_kind_of_trust() -> None:
    roles = {"orchestrator", "records", "validation", "execution", "monitor"}

    assert {f"worker-{role}" for role in roles} | {"api-requests", "api-streams"} <= set(SERVICES)
    assert all(SERVICES[f"worker-{role}"]["command"] == ["worker", "--role", role] for role in roles)


@every_service
def test_no_secret_stands_in_an_environment(name: str) -> None:
    environment = SERVICES[name].get("environment", {})

    secret = re.compile(r"PASSWORD(?!_FILE)|PWD|SECRET|KEY(?!S)", re.IGNORECASE)
    assert not [variable for variable in environment if secret.search(variable)]
    assert not [value for value in environment.values() if re.search(r"://[^/]*:[^/]*@", str(value))]


@every_service
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@every_service
def test_nothing_is_privileged(name: str) -> None:
    service = SERVICES[name]

    assert not {"privileged", "cap_add", "devices", "network_mode"} & set(service)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "docker.sock" not in str(service.get("volumes", []))


@every_service
def test_images_are_pinned_and_long_runners_have_a_health_check(name: str) -> None:
    service = SERVICES[name]

    assert re.search(r":[^:]+$", service["image"])
    assert not service["image"].endswith(":latest")
    assert "healthcheck" in service or "restart" not in service


@every_service
def test_what_a_service_mounts_from_the_repository_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = str(volume).split(":", maxsplit=1)[0]
        assert not source.startswith(".") or (ROOT / source).exists()


def test_each_process_has_a_database_user_of_its_own() -> None:
    sources = {
        name: secret["source"]
        for name, service in SERVICES.items()
        for secret in service.get("secrets", [])
        if isinstance(secret, dict) and name.startswith("worker-")
    }

    assert len(set(sources.values())) == len(sources) == 4
    assert "worker-orchestrator" not in sources
    assert {secret for secret in COMPOSE["secrets"] if secret.startswith("airlock_")} > set(sources.values())


def test_what_runs_scripts_reaches_no_other_network() -> None:
    assert SERVICES["worker-validation"]["networks"] == ["backplane"]
    assert COMPOSE["networks"]["backplane"]["internal"] is True
