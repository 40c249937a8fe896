from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detection.behaviour.watch import JUDGES
from detection.quick_checks import quick_checks
from detection.rule_page import page
from detection.rule_tables.rule import Rule
from detection.rules import BANDIT, BEHAVIOUR, LEARNED, QUICK_CHECKS, RULES, STATIC_ANALYSIS
from detection.script_analysis import Script, acceptable, own_notes
from detection.static_tables import DETOUR_RULES, GRAVE_IN_DISGUISE

if TYPE_CHECKING:
    from detection.bandit_opinion import Bandit

MODULES = frozenset(sys.stdlib_module_names)


def quick_rules(script: bytes) -> set[str]:
    return {found["rule"] for found in quick_checks(script, MODULES).findings}


def static_rules(script: bytes) -> set[str]:
    accepted = acceptable(script)
    assert isinstance(accepted, Script)
    return {found["rule"] for found in own_notes(accepted)}


def bandit_tests(script: bytes, bandit: Bandit) -> set[str]:
    return {f"bandit.{each.test}" for each in bandit.opinions(script)}


@pytest.fixture(scope="module")
def bandit() -> Bandit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stevedore's, about itself
        from detection.bandit_opinion import Bandit as Loaded

        return Loaded([rule.id.removeprefix("bandit.") for rule in BANDIT])


def with_examples(rules: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.noticed is not None and rule.left_alone is not None]


def examples_of(rule: Rule) -> tuple[bytes, bytes]:
    assert isinstance(rule.noticed, bytes)
    assert isinstance(rule.left_alone, bytes)
    return rule.noticed, rule.left_alone


@pytest.mark.parametrize("rule", with_examples(QUICK_CHECKS), ids=lambda rule: rule.id)
def test_a_quick_rule_notices_its_example_and_leaves_its_neighbour_alone(rule: Rule):
    noticed, left_alone = examples_of(rule)

    assert rule.id in quick_rules(noticed)
    assert rule.id not in quick_rules(left_alone)


@pytest.mark.parametrize("rule", with_examples(STATIC_ANALYSIS), ids=lambda rule: rule.id)
def test_a_static_rule_notices_its_example_and_leaves_its_neighbour_alone(rule: Rule):
    noticed, left_alone = examples_of(rule)

    assert rule.id in static_rules(noticed)
    assert rule.id not in static_rules(left_alone)


@pytest.mark.parametrize("rule", BANDIT, ids=lambda rule: rule.id)
def test_a_test_of_bandit_notices_its_example_and_leaves_its_neighbour_alone(rule: Rule, bandit: Bandit):
    noticed, left_alone = examples_of(rule)

    assert rule.id in bandit_tests(noticed, bandit)
    assert rule.id not in bandit_tests(left_alone, bandit)


def test_every_rule_has_its_examples():
    rules = (*QUICK_CHECKS, *STATIC_ANALYSIS, *BANDIT, *BEHAVIOUR)
    lacking = {rule.id for rule in rules} - {rule.id for rule in with_examples(RULES.values())}

    assert lacking == {"too_costly", "parser_died", "not_analysed"}  # about memory, processes and bounds


def test_every_rule_has_an_id_of_its_own():
    assert len(RULES) == len(QUICK_CHECKS) + len(STATIC_ANALYSIS) + len(BANDIT) + len(BEHAVIOUR) + len([LEARNED])


def test_tables_name_only_rules_that_exist():
    assert set(DETOUR_RULES.values()) | GRAVE_IN_DISGUISE <= set(RULES)


def test_explanations_fit_a_finding():
    assert all(len(rule.why) <= 200 and len(rule.instead) <= 200 and len(rule.id) <= 80 for rule in RULES.values())


def test_every_kind_of_attempt_of_the_recorder_has_a_judge():
    assert {"open", "write", "exec", "socket", "connect", "bind", "process", "signal", "limits", "ptrace"} <= set(
        JUDGES
    )


def test_the_page_of_rules_is_fresh():
    written = Path(__file__).parents[2] / "docs" / "rules.md"

    assert written.read_text() == page(), "run: python -m detection.rule_page > docs/rules.md"


def test_every_rule_says_how_an_honest_author_writes_it():
    assert all(rule.instead for rule in RULES.values())
