"""What a script is told does not depend on the seed by which Python orders its sets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "detection"
TELL = """
import json, sys
from pathlib import Path
from tests.detection.screening import own_findings
for path in sys.argv[1:]:
    print(path, json.dumps([found.model_dump(mode="json") for found in own_findings(Path(path).read_bytes())]))
"""
SEVERAL_MEANINGS = """
import os, sys, subprocess, posix
import importlib.util as u, importlib.machinery as m
for a in (os, posix, subprocess, sys): pass
a.system("x"); a.popen("y"); a.Popen("z"); a.kill(1, 9); b = a.fork
for f in (os.sep, os.linesep, "a"): pass
for opened in (open, os.remove, os.listdir, os.stat): pass
opened("/etc/shadow"); opened("/proc/1/mem")
for loader in (u.module_from_spec, u.spec_from_loader, m.SourceFileLoader): pass
loader("x", "/tmp/a.so")
sep = os.sep if a else os.linesep
code = [chr(c) for c in (101, 118, 97, 108)]
for step in (str.upper, str.lower, chr, ord): pass
step(code[0])
sys.modules["os"] = sys.modules["json"] = 1
for owner in (sys.modules, vars(os), vars(sys)): owner["json"] = 1
"""


def told(paths: list[Path], seed: int) -> str:
    """Everything that is found in some scripts, by a process with its own order of sets."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", TELL, *map(str, paths)], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_names_with_several_meanings_are_told_alike_under_any_seed(tmp_path: Path):
    script = tmp_path / "several.py"
    script.write_text(SEVERAL_MEANINGS)

    first, other = (told([script], seed) for seed in (1, 2))

    assert "hidden_process" in first
    assert other == first


@pytest.mark.slow
def test_every_attack_is_told_alike_under_any_seed():
    paths = sorted(CASES.rglob("*.hostile"))

    assert told(paths, 1) == told(paths, 2)
