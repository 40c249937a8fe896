"""`make cluster` and `make images` with a kind or k3d that only says what it was told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("bash", "grep", "awk", "cat")
FAKES = {
    "kind": '#!/bin/bash\necho "kind $*" >> "{said}"\ncase "$1 $2" in "get clusters") cat "{there}";; esac\n',
    "k3d": '#!/bin/bash\necho "k3d $*" >> "{said}"\ncase "$1 $2" in "cluster get") grep -qx "$3" "{there}";; esac\n',
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with neither."""
    directory = tmp_path / "programs"
    directory.mkdir()
    for name in PROGRAMS:
        (directory / name).symlink_to(
            next(path for path in (Path("/usr/bin") / name, Path("/bin") / name) if path.exists())
        )
    (tmp_path / "there").touch()
    (tmp_path / "said").touch()
    return directory


def add(name: str, programs: Path) -> None:
    there, said = programs.parent / "there", programs.parent / "said"
    (programs / name).write_text(FAKES[name].format(said=said, there=there))
    (programs / name).chmod(0o755)


def make_cluster(programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/make", "--no-print-directory", "cluster"],
        cwd=ROOT,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )


def said(programs: Path) -> list[str]:
    return (programs.parent / "said").read_text().splitlines()


def test_without_kind_and_k3d_both_are_named(programs: Path) -> None:
    done = make_cluster(programs)

    assert done.returncode != 0
    assert "needs kind or k3d" in done.stderr


@pytest.mark.parametrize("tool", FAKES)
def test_a_cluster_is_made_where_there_is_none(tool: str, programs: Path) -> None:
    add(tool, programs)

    done = make_cluster(programs)

    assert done.returncode == 0, done.stderr
    assert said(programs)[-1].startswith(f"{tool} c")
    assert "create" in said(programs)[-1]


@pytest.mark.parametrize("tool", FAKES)
def test_a_cluster_that_is_there_is_left_alone(tool: str, programs: Path) -> None:
    add(tool, programs)
    (programs.parent / "there").write_text("airlock\n")

    done = make_cluster(programs)

    assert done.returncode == 0, done.stderr
    assert not [line for line in said(programs) if "create" in line]


def test_kind_is_told_what_a_node_for_scripts_needs(programs: Path) -> None:
    add("kind", programs)
    add("k3d", programs)

    make_cluster(programs)

    assert said(programs)[-1].endswith("--config deploy/kubernetes/kind.yaml")
    assert not [line for line in said(programs) if line.startswith("k3d")]
