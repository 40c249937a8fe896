"""How values of the domain are kept in columns."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from sqlalchemy import DateTime, Dialect, String, Text, TypeDecorator

T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)


class Moment(TypeDecorator[datetime]):
    """A time with its zone, kept as UTC: SQLite forgets zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - named by SQLAlchemy
        """Refuse a time that could mean anything."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time needs its zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - named by SQLAlchemy
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


class Word(TypeDecorator[W], Generic[W]):
    """A member of an enum, by its value."""

    impl = String(40)
    cache_ok = True

    def __init__(self, words: type[W]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: W | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - named by SQLAlchemy
        """The value, which every driver knows."""
        return None if value is None else self.words(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> W | None:  # noqa: ARG002 - named by SQLAlchemy
        """The member."""
        return None if value is None else self.words(value)


class Document(TypeDecorator[T], Generic[T]):
    """A value of the domain as JSON."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def process_bind_param(self, value: T | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - named by SQLAlchemy
        """Only ASCII, so that no database minds what a script has written."""
        if value is None:
            return None
        try:
            return self._adapter.dump_json(value, ensure_ascii=True).decode("ascii")
        except PydanticSerializationError:  # half a surrogate pair, in words of a script: nothing could read it back
            text = json.dumps(self._adapter.dump_python(value, mode="json"), ensure_ascii=False)
            return json.dumps(json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")))

    def process_result_value(self, value: str | None, dialect: Dialect) -> T | None:  # noqa: ARG002 - named by SQLAlchemy
        """The value, with defaults for fields that are younger than the row."""
        return None if value is None else self._adapter.validate_json(value)
