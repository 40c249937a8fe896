"""A scanner of configuration looks at everything that deploys, and finds nothing but what is skipped with a reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.runs import RunPurpose, RunRequest
from sandbox.kubernetes.manifest import Placement, PodImage, manifest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TRIVY = ROOT / ".venv" / "scanner" / "bin" / "trivy"
REFERENCE = f"registry.example/airlock/default@sha256:{'a' * 64}"
SKIPPED = {
    "DS-0026": "an image of several processes: each deployment has the health check of its own",
    "KSV-0027": "procMount is written out as Default, so that it cannot become something else",
    "KSV-0039": "it sees one object at a time: base/bounds.yaml has the LimitRange of both namespaces for scripts",
    "KSV-0040": "likewise the ResourceQuota",
    "KSV-0048": "to create and end pods is what these roles are for, each in namespaces that hold nothing else",
    "KSV-0125": "which registries are trusted is the operator's to say, in prefixes of the policy; a digest always",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every failure, with the file that it is in."""
    if not TRIVY.exists():
        words = "There is no scanner: `make scanner` installs it"
        (pytest.fail if os.environ.get("AIRLOCK_REQUIRE_SCANNER") == "1" else pytest.skip)(words)
    place = tmp_path_factory.mktemp("scanned")
    gather(place)
    done = subprocess.run(
        [TRIVY, "config", "--skip-check-update", "--skip-version-check", "--quiet", "--format", "json", place],
        env={"HOME": str(place), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    results = json.loads(done.stdout)["Results"]
    assert {Path(each["Target"]).name for each in results} >= {
        "pod.yaml",
        "admission.yaml",
        "workers.yaml",
        "Dockerfile",
    }
    return [{**each, "file": result["Target"]} for result in results for each in result.get("Misconfigurations", ())]


def gather(place: Path) -> None:
    """The objects, the workers with the image that an installation names, the pod of a run, and both Dockerfiles."""
    for directory in ("base", "workers"):
        shutil.copytree(ROOT / "deploy" / "kubernetes" / directory, place / directory)
    workers = place / "workers" / "workers.yaml"
    workers.write_text(workers.read_text().replace("image: airlock\n", f"image: {REFERENCE}\n"))
    request = RunRequest(
        run_id="eval_scanned-execution",
        purpose=RunPurpose.EXECUTION,
        script=b"",
        model_id="m",
        environment="default",
        timeout_seconds=60,
    )
    placement = Placement(namespace="airlock-executions", images={"default": PodImage(reference=REFERENCE)})
    pod = manifest(request, placement, "attempt", datetime.now(UTC))
    (place / "pod.yaml").write_text(json.dumps(pod))  # JSON is YAML
    shutil.copy(ROOT / "Dockerfile", place / "Dockerfile")
    (place / "environment").mkdir()
    shutil.copy(ROOT / "deploy" / "environment" / "Dockerfile", place / "environment" / "Dockerfile")


def test_nothing_fails_that_is_not_skipped_with_a_reason(found: list[dict[str, Any]]) -> None:
    failed = [(each["ID"], each["file"], each["Message"]) for each in found if each["ID"] not in SKIPPED]

    assert failed == []


def test_nothing_is_skipped_that_would_not_fail(found: list[dict[str, Any]]) -> None:
    assert set(SKIPPED) <= {each["ID"] for each in found}
