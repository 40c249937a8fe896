"""What every command of a user shares: the connection, the form of its answer, and how a failure is told."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.client import AirlockClient, Json, Misconfigured, Refused, ServerAway
from cli.exit_codes import ExitCode
from cli.settings import ClientSettings
from cli.terminal import ERR, untrusted
from domain.errors import PlatformError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
EvaluationId = Annotated[str, typer.Argument(metavar="EVALUATION", help="eval_ and 26 letters.")]


class Failed(Exception):
    """A command cannot do what it was asked. Its text is one sentence."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def connection() -> Generator[AirlockClient]:
    """A client as the settings say."""
    try:
        settings = ClientSettings()
    except UnicodeDecodeError:
        raise Failed(".airlock/env is damaged: `airlock up` writes a new one.", ExitCode.USAGE) from None
    with AirlockClient(settings.url, settings.api_key.get_secret_value()) as client:
        yield client


def tell(message: str) -> None:
    """Say something that is not the answer. Where nobody can hear it, as behind a closed terminal, it is lost."""
    with suppress(OSError):
        ERR.print(untrusted(message, "dim"))


@contextmanager
def failures_told() -> Generator[None]:
    """Turn what can go wrong into one line and an exit code."""
    try:
        yield
    except Failed as failure:
        _end(str(failure), failure.code)
    except Misconfigured as error:
        _end(str(error), ExitCode.USAGE)
    except ValidationError as error:
        _end(_settings_that_are_wrong(error), ExitCode.USAGE)
    except ServerAway as error:
        _end(str(error), ExitCode.UNAVAILABLE)
    except PlatformError as error:
        _end(f"{error.message}{f': {error.evidence}' if error.evidence else ''}", ExitCode.UNAVAILABLE)
    except Refused as error:
        code = ExitCode.NOT_FOUND if error.status == 404 else ExitCode.REFUSED
        again = f" Try again in {error.retry_after:g} s." if error.retry_after else ""
        _end(f"{error.detail} ({error.status} {error.code}){again}{_places(error.errors)}", code)
    except UnicodeEncodeError as error:
        _end(f"What was typed cannot be sent: {error.reason}", ExitCode.USAGE)
    except OSError as error:
        _end(str(error), ExitCode.UNAVAILABLE)


def _places(errors: Sequence[Json]) -> str:
    """Lines of a script that was refused, and what to write instead."""
    lines: list[str] = []
    for error in errors:
        if error.get("snippet"):
            lines.append(f"  line {error.get('line')}: {error['snippet']}")
        if error.get("instead"):
            lines.append(f"  instead: {error['instead']}")
    return "".join(f"\n{line}" for line in lines)


def _settings_that_are_wrong(error: ValidationError) -> str:
    """Their names and what is wrong with them. Their values may be secrets."""
    wrong = [f"AIRLOCK_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
    return f"Settings cannot be used: {'; '.join(wrong)}"


def _end(message: str, code: ExitCode) -> None:
    ERR.print(untrusted(f"airlock: {message}", "red"))
    raise SystemExit(int(code)) from None
