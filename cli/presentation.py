"""How the API's answers look on a terminal. Everything in them may stem from a script: nothing is shown unescaped."""

from __future__ import annotations

import json

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.client import Json, part_of, parts_of
from cli.terminal import aligned, table, untrusted

STATUS_STYLES = {
    "completed": "green",
    "failed": "red",
    "timed_out": "red",
    "error": "bold red",
    "validation_failed": "yellow",
    "awaiting_approval": "bold yellow",
    "stopped": "magenta",
    "stopping": "magenta",
}


def status(report: Json) -> RenderableType:
    """Where an evaluation is."""
    facts = Table.grid(padding=(0, 2))
    for name in ("evaluation_id", "status", "stage", "verdict", "queue_position", "message"):
        value = report.get(name)
        if value is not None:
            facts.add_row(Text(name, "dim"), untrusted(str(value), STATUS_STYLES.get(str(value), "")))
    cause = part_of(report, "cause")
    if cause:
        facts.add_row(Text("cause", "dim"), untrusted(cause_line(cause)))
        if cause.get("evidence"):
            facts.add_row(Text("evidence", "dim"), untrusted(str(cause["evidence"])))
    found = parts_of(report, "findings")
    return Group(facts, findings(found)) if found else facts


def findings(found: list[Json]) -> Table:
    """What the review noticed."""
    columns = ("severity", "rule", "line", "message")
    return table(columns, [[_text(each.get(name)) for name in columns] for each in found])


def cause_line(cause: Json) -> str:
    """Why an evaluation did not complete, in a line."""
    again = " (may end otherwise when it is retried)" if cause.get("retryable") else ""
    return f"{cause.get('code')}: {cause.get('message')}{again}"


def result(answer: Json) -> RenderableType:
    """A result as its script claims it, and what vouches for it."""
    claim = untrusted(json.dumps(answer.get("result"), indent=2, ensure_ascii=True))
    if not answer.get("has_result"):
        why = ": a program without `evaluate_model` returns none" if answer.get("outcome") == "completed" else ""
        claim = Text(f"No result{why}.", "dim")
    facts = Table.grid(padding=(0, 2))
    isolation, model = part_of(answer, "isolation"), part_of(answer, "model_use")
    said = {
        "status": answer.get("status"),
        "outcome": answer.get("outcome"),
        "message": answer.get("message") or None,
        "isolation": f"level {isolation.get('level')}, {isolation.get('backend')}" if isolation else None,
        "model": f"{model.get('provider')}, {model.get('calls')} calls" if model.get("calls") else None,
        "result digest": answer.get("result_digest"),
    }
    for name, value in said.items():
        if value is not None:
            facts.add_row(Text(name, "dim"), untrusted(str(value)))
    return Group(claim, facts)


def run_report(report: Json) -> RenderableType:
    """What came of one run without a server."""
    record, isolation = part_of(report, "record"), part_of(report, "isolation")
    tried = [
        [_text(each.get(name)) for name in ("kind", "target", "allowed", "count")]
        for each in parts_of(record, "attempts")
    ]
    facts = Table.grid(padding=(0, 2))
    facts.add_row(Text("outcome", "dim"), untrusted(_text(report.get("outcome"))))
    if report.get("message"):
        facts.add_row(Text("message", "dim"), untrusted(_text(report.get("message"))))
    if report.get("outcome") == "completed" and not report.get("has_result"):
        facts.add_row(Text("result", "dim"), "none: a program without `evaluate_model` returns none")
    facts.add_row(Text("isolation", "dim"), untrusted(f"level {isolation.get('level')}, {isolation.get('backend')}"))
    if part_of(report, "usage").get("output_truncated"):
        facts.add_row(Text("output", "dim"), "cut: there was more than its limit")
    shown: list[RenderableType] = [line(each) for each in parts_of(report, "output")]
    shown += (
        [untrusted(json.dumps(report.get("result"), indent=2, ensure_ascii=True))] if report.get("has_result") else []
    )
    shown.append(facts)
    shown += [table(("tried", "target", "allowed", "times"), tried)] if tried else []
    found = parts_of(report, "findings")
    return Group(*shown, findings(found)) if found else Group(*shown)


def listing(page: Json) -> Text:
    """A page of evaluations, on lines that nothing folds: an id is there to be copied."""
    rows: list[list[str | Text]] = []
    for each in parts_of(page, "evaluations"):
        word = str(each.get("status"))
        cause = part_of(each, "cause")
        queued = _text(each.get("queued_at"))[:19].replace("T", " ")
        rows.append(
            [
                untrusted(str(each.get("evaluation_id"))),
                untrusted(word, STATUS_STYLES.get(word, "")),
                untrusted(_text(each.get("model_id"))),
                untrusted(queued),
                untrusted(str(cause.get("code", "")) if cause else ""),
            ]
        )
    return aligned(("evaluation", "status", "model", "queued at", "cause"), rows)


def headline(kind: str, data: Json) -> str:
    """An event in a line. Empty for what is shown otherwise, or not at all."""
    payload = part_of(data, "payload") or data
    match kind:
        case "status":
            why = cause_line(part_of(payload, "cause")) if part_of(payload, "cause") else ""
            return f"status: {payload.get('status')}" + (f" ({why})" if why else "")
        case "stage":
            return _stage_line(payload, payload.get("stage") or data.get("stage"))
        case "finding":
            return f"finding: {payload.get('severity')} {payload.get('rule')}: {payload.get('message')}"
        case "stop":
            return f"stop: {payload.get('reason') or 'no reason given'}"
        case _:
            return ""


def _stage_line(payload: Json, stage: object) -> str:
    isolation, found = part_of(payload, "isolation"), payload.get("findings")
    more = [
        f"{found} finding{'s' * (found != 1)}" if isinstance(found, int) and found else "",
        "incomplete" if payload.get("complete") is False else "",
        _text(payload.get("note")),
        f"{isolation.get('backend')}, level {isolation.get('level')}" if isolation else "",
    ]
    told = ", ".join(each for each in more if each)
    return f"{stage} {_text(payload.get('state'))}" + (f": {told}" if told else "")


def line(payload: Json) -> Text:
    """A line of output; what the script called an error is dim red."""
    text = str(payload.get("text", "")).removesuffix("\n")
    return untrusted(text, {"stderr": "red", "airlock": "bold"}.get(str(payload.get("stream")), ""))


def _text(value: object) -> str:
    return "" if value is None else str(value)
