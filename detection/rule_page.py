"""docs/rules.md, made from the table: `python -m detection.rule_page > docs/rules.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from detection.rule_tables.rule import Rule
from detection.rules import RULES, STAGES

MAX_EXAMPLE = 240


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Rules"
    yield ""
    yield f"{len(RULES)} rules from `detection/rule_tables`; made by `python -m detection.rule_page > docs/rules.md`."
    yield "By the default policy `medium` makes a script suspicious, `high` and `critical` reject it; an operator may"
    yield "decide otherwise, by severity and by rule. Static rules are triage: what contains a script is the sandbox."
    for stage, rules in STAGES.items():
        yield ""
        yield f"## {stage}"
        for rule in rules:
            yield from _section(rule)


def _section(rule: Rule) -> Iterator[str]:
    technique = f", {rule.technique}" if rule.technique else ""
    yield ""
    yield f"### {rule.id}"
    yield ""
    yield f"*{rule.severity}{technique}.* {rule.why}"
    yield ""
    yield f"Instead: {rule.instead}"
    if rule.noticed is not None and rule.left_alone is not None:
        yield ""
        yield "```"
        yield f"noticed:    {_example(rule.noticed)}"
        yield f"left alone: {_example(rule.left_alone)}"
        yield "```"


def _example(script: bytes) -> str:
    shown = ascii(script.decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= MAX_EXAMPLE else f"{shown[:40]}... ({len(script)} bytes)"


if __name__ == "__main__":
    sys.stdout.write(page())
