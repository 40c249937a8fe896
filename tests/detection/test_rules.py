from __future__ import annotations

import ast
import sys

import pytest

from detection.behaviour.watch import JUDGES
from detection.quick_checks import quick_checks
from detection.rules import BANDIT, BEHAVIOUR, QUICK_CHECKS, RULES, STATIC_ANALYSIS
from detection.script_analysis import acceptable, own_notes
from detection.static_tables import DETOUR_RULES, GRAVE_IN_DISGUISE
from tests.detection.rule_examples import QUICK, STATIC

MODULES = frozenset(sys.stdlib_module_names)


def quick_rules(script: bytes) -> set[str]:
    return {found["rule"] for found in quick_checks(script, MODULES).findings}


def static_rules(script: bytes) -> set[str]:
    tree = acceptable(script)
    assert isinstance(tree, ast.Module)
    return {found["rule"] for found in own_notes(script, tree)}


@pytest.mark.parametrize("rule", QUICK)
def test_a_quick_rule_notices_its_example(rule: str):
    assert rule in quick_rules(QUICK[rule][0])


@pytest.mark.parametrize("rule", QUICK)
def test_a_quick_rule_leaves_its_neighbour_alone(rule: str):
    assert rule not in quick_rules(QUICK[rule][1])


@pytest.mark.parametrize("rule", STATIC)
def test_a_static_rule_notices_its_example(rule: str):
    assert rule in static_rules(STATIC[rule][0])


@pytest.mark.parametrize("rule", STATIC)
def test_a_static_rule_leaves_its_neighbour_alone(rule: str):
    assert rule not in static_rules(STATIC[rule][1])


def test_every_rule_of_the_first_stages_has_its_examples():
    assert {rule.id for rule in QUICK_CHECKS} - set(QUICK) == {"too_costly", "parser_died"}
    assert {rule.id for rule in STATIC_ANALYSIS} - set(STATIC) == {"not_analysed"}


def test_every_rule_has_an_id_of_its_own():
    assert len(RULES) == len(QUICK_CHECKS) + len(STATIC_ANALYSIS) + len(BANDIT) + len(BEHAVIOUR)


def test_tables_name_only_rules_that_exist():
    assert set(DETOUR_RULES.values()) | GRAVE_IN_DISGUISE <= set(RULES)


def test_explanations_fit_a_finding():
    assert all(len(rule.why) <= 200 and len(rule.id) <= 80 for rule in RULES.values())


def test_every_kind_of_attempt_of_the_recorder_has_a_judge():
    assert {"open", "write", "exec", "socket", "connect", "bind", "process", "signal", "limits", "ptrace"} <= set(
        JUDGES
    )
