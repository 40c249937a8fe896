"""The board of the demonstration: a row for each example, which fills as it passes through its stages."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Group
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.client import Json
from cli.examples import Example
from cli.presentation import STATUS_STYLES
from cli.terminal import untrusted
from domain.lifecycle import Stage, Status, is_terminal

_VERDICTS = {"approved": "green", "rejected": "bold yellow", "suspicious": "yellow", "inconclusive": "yellow"}


@dataclass
class Row:
    """One example on its way."""

    example: Example
    evaluation_id: str = ""
    status: Status | None = None
    """None before it is accepted."""
    stage: Stage | None = None
    begun: list[Stage] = field(default_factory=list[Stage])
    cause: str | None = None
    isolation: str = ""
    report: Json = field(default_factory=dict[str, object])
    result: Json = field(default_factory=dict[str, object])

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status is not None and is_terminal(self.status)

    @property
    def as_expected(self) -> bool:
        """Whether it ended as its example says."""
        return self.status is self.example.status and self.cause == self.example.cause

    @property
    def where(self) -> str:
        """Where it is, for those who see no board."""
        name = self.example.file.removesuffix(".py")
        return f"{name}: {self.status}" + (f", {self.stage}" if self.stage and not self.ended else "")

    def saw(self, status: Status, stage: Stage | None) -> None:
        """Take note of where it is."""
        self.status = status
        if stage is not None and stage not in self.begun:
            self.begun.append(stage)
        self.stage = stage


def board(rows: list[Row]) -> Group:
    """All rows as they are now."""
    made = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")  # 80 columns hold it
    for column in ("example", *(stage.value.replace("_", "\n") for stage in Stage), "status"):
        made.add_column(column, no_wrap=True, min_width=len("refused"))
    for row in rows:
        style = STATUS_STYLES.get(row.status or "", "")
        made.add_row(
            untrusted(row.example.file.removesuffix(".py")),
            *(_cell(row, stage) for stage in Stage),
            untrusted(row.status or "-", style),
        )
    return Group(made)


def _cell(row: Row, stage: Stage) -> Text | Spinner:
    if stage not in row.begun:
        return Text("", "dim")
    if row.stage is stage and not row.ended:
        return Spinner("dots")
    if row.begun[-1] is not stage or row.status is Status.COMPLETED:
        return Text("passed", "green")
    return Text("refused" if row.status is Status.VALIDATION_FAILED else "ended", "yellow")
