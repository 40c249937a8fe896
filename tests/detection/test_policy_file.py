from __future__ import annotations

from pathlib import Path

import pytest

from detection.policy_file import PolicyError, load_policy
from domain.findings import Finding, Severity, Verdict
from domain.policy import Policy


def written(folder: Path, text: str) -> Path:
    file = folder / "policy.toml"
    file.write_text(text)
    return file


def test_without_a_file_the_built_in_table_is_in_force():
    assert load_policy(None) == Policy()


def test_an_operator_replaces_severities_and_single_rules(tmp_path: Path):
    text = (
        'version = "strict"\nsuspicious_from = "low"\n[rules]\nnetwork_use = "rejected"\ndynamic_code = "suspicious"\n'
    )

    policy = load_policy(written(tmp_path, text))

    def on(rule: str, severity: Severity) -> Verdict:
        return policy.verdict_on(Finding(rule=rule, severity=severity, message="seen"))

    assert on("frame_lookup", Severity.LOW) is Verdict.SUSPICIOUS
    assert on("network_use", Severity.MEDIUM) is Verdict.REJECTED
    assert on("dynamic_code", Severity.HIGH) is Verdict.SUSPICIOUS


def test_two_tables_never_share_a_version(tmp_path: Path):
    one = load_policy(written(tmp_path, 'version = "a"\n')).version
    other = load_policy(written(tmp_path, 'version = "a"\napproval = false\n')).version

    assert one.startswith("a (")
    assert one != other


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("suspicious_from = 'low'", "version: Field required"),
        ("version = 'a'\nrejected_from = 'sometimes'", "rejected_from"),
        ("version = 'a'\nsuspicous_from = 'low'", "suspicous_from: Extra inputs"),
        ("version = 'a'\n[rules]\nno_such_rule = 'approved'", "'no_such_rule', which does not exist"),
        ("version = 'a'\n[rules]\nnetwork_use = 'maybe'", "rules.network_use"),
        ("version = 'a'\n[rules]\nnetwork_use = 'inconclusive'", "cannot be inconclusive"),
        ("version = 'a'\nsuspicious_from = 'critical'\nrejected_from = 'low'", "must not be heavier"),
        ("version =", "is not TOML"),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(tmp_path: Path, text: str, says: str):
    with pytest.raises(PolicyError) as refused:
        load_policy(written(tmp_path, text))

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_table_is_refused(tmp_path: Path):
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "nowhere.toml")
