"""Which models can be evaluated, and who answers for each."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from domain.values import Value


class Provider(StrEnum):
    """Who answers model calls."""

    MOCK = "mock"
    """Built in and deterministic: the answer follows from model, prompt and seed."""
    OPENAI_COMPATIBLE = "openai_compatible"
    """Anything that speaks the chat completions protocol."""


class CatalogueModel(Value):
    """A model id that submissions may name. Credentials are in a file that only the execution worker can read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str = Field(min_length=1, max_length=100)
    provider: Provider
    base_url: str | None = None
    key_file: str | None = None
    name: str | None = None
    """What the provider calls it; the model id where absent."""

    @model_validator(mode="after")
    def _an_endpoint_has_an_address(self) -> Self:
        if self.provider is Provider.OPENAI_COMPATIBLE and not self.base_url:
            raise ValueError("an openai_compatible model needs base_url")
        if self.base_url is not None and not _is_address(self.base_url):
            raise ValueError("base_url is no address: it is http://host/path or https://host:port/path")
        return self


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # reading it judges it
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0 and not re.search(r"\s", url)
