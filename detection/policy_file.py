"""The operator's own table from findings to verdicts, read from a TOML file.

version = "2026-11 strict"
suspicious_from = "low"        # info, low, medium, high or critical
rejected_from = "high"
approval = true                # whether a person may be asked
trial_must_complete = false

[rules]                        # exceptions by rule: approved, suspicious or rejected
network_use = "rejected"
unpickles = "suspicious"
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detection.rules import RULES
from domain.findings import Severity, Verdict
from domain.policy import Policy, RuleVerdict


class PolicyError(Exception):
    """A policy that cannot be used. Its text is one sentence for the operator."""


class _File(BaseModel):
    """What may stand in the file: unknown keys are refused, and the version is not optional."""

    model_config = ConfigDict(extra="forbid", strict=False)

    version: str = Field(min_length=1, max_length=27, pattern=r"^[ -~]+$")
    suspicious_from: Severity = Severity.MEDIUM
    rejected_from: Severity = Severity.HIGH
    approval: bool = True
    trial_must_complete: bool = False
    rules: dict[str, Verdict] = Field(default_factory=dict)


def load_policy(file: Path | None) -> Policy:
    """The policy in `file`, the built-in one where None is named. Raises PolicyError.

    Its version ends in a digest of the file, so that two tables never share a version.
    """
    if file is None:
        return Policy()
    try:
        content = file.read_bytes()
        written = _File.model_validate(tomllib.loads(content.decode("utf-8")))
        return _policy(written, hashlib.sha256(content).hexdigest()[:8])
    except ValidationError as error:
        raise PolicyError(f"The policy {file} is not valid: {_first(error)}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"The policy {file} is not TOML: {error}.") from error
    except OSError as error:
        raise PolicyError(f"The policy {file} cannot be read: {error.strerror}.") from error
    except LookupError as error:
        raise PolicyError(f"The policy {file} names the rule {error.args[0]!r}, which does not exist.") from error


def _policy(written: _File, digest: str) -> Policy:
    for rule in written.rules:
        RULES[rule]
    return Policy(
        version=f"{written.version} ({digest})",
        suspicious_from=written.suspicious_from,
        rejected_from=written.rejected_from,
        approval=written.approval,
        trial_must_complete=written.trial_must_complete,
        rules=tuple(RuleVerdict(rule=rule, verdict=verdict) for rule, verdict in written.rules.items()),
    )


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
