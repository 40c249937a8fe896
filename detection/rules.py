"""The table of rules. A rule is added in one file of `rule_tables`: its tests and its place in docs/rules.md follow."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from detection.rule_tables.abilities import ABILITIES
from detection.rule_tables.bandit_tests import BANDIT
from detection.rule_tables.behaviour import BEHAVIOUR
from detection.rule_tables.detours import DETOURS
from detection.rule_tables.flows import FLOWS
from detection.rule_tables.names import NAMES
from detection.rule_tables.rule import MEDIUM, Rule
from detection.rule_tables.tampering import TAMPERING
from detection.rule_tables.text import TEXT
from detection.rule_tables.watchfulness import WATCHFULNESS

LEARNED = Rule(
    id="learned_opinion",
    severity=MEDIUM,
    why="A model that was trained on malicious scripts finds it alike. Never a reason to reject by itself.",
    instead="See the other findings; where there are none, a person decides.",
    technique="T1059.006",
)

QUICK_CHECKS = (*TEXT, *NAMES)
STATIC_ANALYSIS = (*DETOURS, *ABILITIES, *FLOWS, *TAMPERING, *WATCHFULNESS)
STAGES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "quick_checks": QUICK_CHECKS,
        "static_analysis": (*STATIC_ANALYSIS, *BANDIT, LEARNED),
        "sandbox_trial": BEHAVIOUR,
    }
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rules in STAGES.values() for rule in rules})
"""Every rule by its id."""
