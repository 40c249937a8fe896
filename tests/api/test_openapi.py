from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel

from api import examples, schemas
from api.app import create_app
from api.services import Services

ANSWERS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (schemas.Accepted, examples.ACCEPTED),
    (schemas.StatusAnswer, examples.STATUS),
    (schemas.EvaluationPage, examples.PAGE),
    (schemas.EvaluationAnswer, examples.EVALUATION),
    (schemas.ResultAnswer, examples.RESULT),
    (schemas.LogPage, examples.LOGS),
    (schemas.TranscriptPage, examples.TRANSCRIPT),
    (schemas.ExportAnswer, examples.EXPORT),
    (schemas.StopAccepted, examples.STOPPING),
    (schemas.Decided, examples.DECIDED_APPROVED),
    (schemas.Decided, examples.DECIDED_REJECTED),
    (schemas.Environments, examples.ENVIRONMENTS),
    (schemas.Models, examples.MODELS),
    (schemas.InForce, examples.IN_FORCE),
    (schemas.Health, examples.HEALTH),
]


@pytest.mark.parametrize(("schema", "example"), ANSWERS, ids=lambda each: getattr(each, "__name__", ""))
def test_an_example_is_exactly_what_its_schema_says(schema: type[BaseModel], example: dict[str, Any]):
    said = schema.model_validate_json(json.dumps(example)).model_dump(mode="json")

    assert said == example


def test_every_answer_has_an_example_and_none_is_422(services: Services):
    document = create_app(services).openapi()

    lacking = [
        f"{method} {path} {code}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for code, answer in operation["responses"].items()
        if code != "204" and not all("example" in media for media in answer.get("content", {"": {}}).values())
    ]
    codes = {c for o in document["paths"].values() for each in o.values() for c in each["responses"]}
    assert lacking == []
    assert "422" not in codes


def test_every_group_of_routes_says_what_it_is_for(services: Services):
    document = create_app(services).openapi()

    used = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"] if tag["description"]}


def test_a_problem_is_described_as_problem_json(services: Services):
    responses = create_app(services).openapi()["paths"]["/api/v1/evaluations"]["post"]["responses"]

    problems = {code: list(answer["content"]) for code, answer in responses.items() if int(code) >= 400}
    assert set(map(tuple, problems.values())) == {("application/problem+json",)}


def test_both_apps_together_serve_what_the_one_does(services: Services):
    paths = {which: set(create_app(services, which).openapi()["paths"]) for which in ("all", "requests", "streams")}

    assert paths["all"] == paths["requests"] | paths["streams"]
    assert paths["requests"] & paths["streams"] == {"/livez", "/readyz"}


def test_the_api_loads_no_sandbox_and_no_analyser():
    program = "import sys, api.__main__; print(*sorted(sys.modules), sep='\\n')"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    modules = set(loaded.stdout.split())
    assert "api.app" in modules
    assert not modules & {"bandit", "hexora", "kubernetes", "sandbox.bubblewrap", "sandbox.landlock", "sandbox.runner"}
