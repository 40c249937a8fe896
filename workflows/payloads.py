"""How values travel through Temporal: as pydantic's JSON, and what a stranger sends to a signal, whatever it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter


class StrangersPayloads(PydanticPayloadConverter):
    """Decodes what may be anything without ever failing: the SDK drops a signal that cannot be decoded, stops too.

    What nobody can read stays a RawValue. Where a type is asked for, what does not fit is an error as ever.
    """

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """One value for each payload."""
        if type_hints and not all(hint is Any for hint in type_hints):
            return super().from_payloads(payloads, type_hints)
        return [self._read(payload) for payload in payloads]

    def _read(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001 - unknown encodings, broken or deep JSON, ...: each decoder has its own
            return RawValue(payload)


data_converter = dataclasses.replace(pydantic_data_converter, payload_converter_class=StrangersPayloads)
"""For every client, worker and replayer."""
