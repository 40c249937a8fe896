"""The template of the function is one, and names what there is."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.serverless.settings import ServerlessSettings
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "deploy" / "lambda" / "template.yaml"
LINTER = ROOT / ".venv-aws" / "bin" / "cfn-lint"


class Loader(yaml.SafeLoader):
    """Takes CloudFormation's functions for what stands behind them."""


def _behind(loader: Loader, _tag: str, node: yaml.Node) -> Any:
    match node:
        case yaml.ScalarNode():
            return loader.construct_scalar(node)
        case yaml.SequenceNode():
            return loader.construct_sequence(node)
        case _:
            return None


Loader.add_multi_constructor("!", _behind)  # pyright: ignore[reportUnknownMemberType]
DOCUMENT: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)
FUNCTION: dict[str, Any] = DOCUMENT["Resources"]["Requests"]["Properties"]


@pytest.mark.aws
def test_the_linter_has_nothing_to_say() -> None:
    if not LINTER.exists():
        told = "there is no environment for AWS: `make aws` makes it"
        (pytest.fail if os.environ.get("AIRLOCK_REQUIRE_AWS") else pytest.skip)(told)

    done = subprocess.run([LINTER, TEMPLATE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_handler_is_there() -> None:
    module, _, name = FUNCTION["Handler"].rpartition(".")

    assert callable(getattr(importlib.import_module(module), name))


def test_every_variable_is_a_setting() -> None:
    named = {
        name.removeprefix("AIRLOCK_").lower() for name in FUNCTION["Environment"]["Variables"] if "AIRLOCK" in name
    }

    assert named <= set(ServerlessSettings.model_fields)


def test_every_output_that_names_a_setting_names_one() -> None:
    told = " ".join(output["Description"] for output in DOCUMENT["Outputs"].values())
    named = {name.removeprefix("AIRLOCK_").lower() for name in re.findall(r"AIRLOCK_[A-Z_]+", told)}

    assert named
    assert named <= set(ServerlessSettings.model_fields) | set(WorkerSettings.model_fields)


def test_no_secret_is_written_down() -> None:
    assert FUNCTION["Environment"]["Variables"]["AIRLOCK_DATABASE_URL"].startswith("{{resolve:secretsmanager:")


def test_the_function_waits_no_longer_than_its_gateway() -> None:
    assert FUNCTION["Timeout"] <= 29


def test_nothing_may_everything() -> None:
    policies = [each["PolicyDocument"] for each in _properties("AWS::IAM::ManagedPolicy")] + FUNCTION["Policies"]
    statements = [statement for policy in policies for statement in policy["Statement"]]

    assert statements
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action]
        assert statement["Resource"] != "*"


def _properties(kind: str) -> list[dict[str, Any]]:
    return [each["Properties"] for each in DOCUMENT["Resources"].values() if each["Type"] == kind]


def test_the_function_needs_nothing_that_is_not_in_its_own_lock() -> None:
    locked = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements-lambda.lock").read_text(), re.MULTILINE)
    program = f"""
import importlib.metadata, re, sys
locked = {set(locked)!r} | {{"airlock"}}
known = importlib.metadata.packages_distributions()
class Hidden:
    def find_spec(self, name, path=None, target=None):
        of = {{re.sub("[-_.]+", "-", each).lower() for each in known.get(name.partition(".")[0], ())}}
        if of and not of & locked:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hidden())
import api.serverless.handler, workflows.client, workflows.traces, workflows.aws.intake_queue, psycopg, storage.database
import opentelemetry.exporter.otlp.proto.http.trace_exporter
try:
    import bandit
except ModuleNotFoundError:
    print("hidden")
"""

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("hidden", "")


def test_a_cold_start_waits_for_nothing_that_most_requests_do_without() -> None:
    program = "import sys, api.serverless.handler; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert "api.serverless.handler" in loaded
    assert not loaded & {"temporalio", "alembic", "awscrt", "bandit", "kubernetes"}


def test_what_is_packed_is_all_that_the_function_loads_of_ours(tmp_path: Path) -> None:
    packed = re.search(r"tar -c --exclude __pycache__ (.+?) \\\n", (ROOT / "Makefile").read_text())
    assert packed is not None
    for name in packed[1].split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    modules = "api.serverless.handler, api.serverless.gateways, workflows.traces, workflows.aws.intake_queue"
    files = "(each.__file__ for each in sys.modules.values() if getattr(each, '__file__', None))"
    program = f"import {modules}, workflows.client, storage.schema, sys; print(*{files}, sep='\\n')"

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    loaded = [Path(line) for line in done.stdout.splitlines()]
    assert tmp_path / "api" / "serverless" / "handler.py" in loaded
    assert not [file for file in loaded if file.is_relative_to(ROOT) and ".venv" not in file.parts]
