"""docs/rules.md, made from the table: `python -m detection.rule_page > docs/rules.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from detection.rule_tables.rule import Rule, RunExample
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
    yield "The examples are tests. Those of `sandbox_trial` are runs: what they tried was refused, where no `+` stands"
    yield "before it."
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


def _example(example: bytes | RunExample) -> str:
    if isinstance(example, RunExample):
        return _run(example)
    script = example
    shown = ascii(script.decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= MAX_EXAMPLE else f"{shown[:40]}... ({len(script)} bytes)"


def _run(example: RunExample) -> str:
    """A run in words. Of its text only what an example is about."""
    words = [f"{each}{f' ({example.times} times)' if example.times > 1 else ''}" for each in example.tried]
    words += [f"prints {example.printed!r}"] if example.printed else []
    words += [f"ends as {example.outcome}"] if example.outcome != "completed" else []
    words += [f"its text: {example.script.decode()!a}"] if example.script != RunExample().script else []
    return "; ".join(words)


if __name__ == "__main__":
    sys.stdout.write(page())
