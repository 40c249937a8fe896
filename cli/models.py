"""`airlock models`: what scripts may evaluate."""

from __future__ import annotations

import typer

from cli.client import parts_of
from cli.session import AsJson, connection
from cli.terminal import OUT, print_json, table


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(models)


def models(*, as_json: AsJson = False) -> None:
    """List the models that the server offers to this key."""
    with connection() as client:
        answer = client.models()
    if as_json:
        print_json(answer)
        return
    rows = [(str(each.get("model_id")), str(each.get("provider"))) for each in parts_of(answer, "models")]
    OUT.print(table(("model", "provider"), rows))
