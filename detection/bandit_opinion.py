"""What bandit thinks of a script: a curated set of its tests, with suppression comments ignored."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from bandit.core import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    config,
    meta_ast,
    metrics,
    node_visitor,
    test_set,
)

logging.getLogger("bandit").setLevel(logging.CRITICAL)

_NO_SUPPRESSIONS: dict[int, set[str]] = {}


class Opinion(NamedTuple):
    """One issue of bandit's, in bandit's words."""

    test: str
    severity: str
    confidence: str
    line: int
    column: int
    text: str


class Bandit:
    """Bandit with a fixed set of tests, loaded once."""

    def __init__(self, tests: list[str]) -> None:
        self._tests: Any = test_set.BanditTestSet(config.BanditConfig(), profile={"include": tests, "exclude": []})

    def opinions(self, source: bytes) -> list[Opinion]:
        """Every issue in `source`. Suppression comments are never looked for."""
        visitor: Any = node_visitor.BanditNodeVisitor(
            fname="script.py",
            fdata=None,
            metaast=meta_ast.BanditMetaAst(),
            testset=self._tests,
            debug=False,
            nosec_lines=_NO_SUPPRESSIONS,
            metrics=metrics.Metrics(),
        )
        visitor.process(source)
        return [
            Opinion(each.test_id, each.severity, each.confidence, each.lineno, each.col_offset + 1, each.text)
            for each in visitor.tester.results
        ]
