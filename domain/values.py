"""The base of every value in the domain: frozen, compared by content, tolerant of fields it does not know yet."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A stored or transported value.

    Unknown fields are ignored and new fields get defaults, because histories and rows outlive the code that wrote them.
    What people send is checked by models that forbid unknown fields instead (`evaluation.EvaluationConfig`).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
