"""The built-in provider: its answer follows from model, messages and seed, so that a run can be repeated."""

from __future__ import annotations

import hashlib
import json
import operator
import re

from worker.model_providers.provider import ProviderAnswer, ProviderCall, estimated_tokens

_SUM = re.compile(r"(-?\d{1,9})\s*([-+*])\s*(-?\d{1,9})")
_OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_WORDS = (
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "field",
    "grove",
    "harbor",
    "island",
    "juniper",
    "kettle",
    "lantern",
)
_ERRS_ONE_IN = 8
"""How often it gets a sum wrong, so that a score says something."""


class MockProvider:
    """Adds small numbers, mostly right; says a few words about everything else."""

    name = "mock"

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id

    async def answer(self, call: ProviderCall) -> ProviderAnswer:
        """Answer at once."""
        prompt = call.messages[-1].content
        text = self._sum(prompt, call) or self._words(call)
        text = text.encode()[: call.max_answer_bytes].decode(errors="ignore")
        asked = sum(len(message.content.encode()) for message in call.messages)
        return ProviderAnswer(
            text=text,
            prompt_tokens=estimated_tokens(asked),
            answer_tokens=estimated_tokens(len(text.encode())),
        )

    def _sum(self, prompt: str, call: ProviderCall) -> str | None:
        found = _SUM.search(prompt)
        if found is None:
            return None
        value = _OPERATIONS[found[2]](int(found[1]), int(found[3]))
        return str(value + (self._digest(call)[0] % _ERRS_ONE_IN == 0))

    def _words(self, call: ProviderCall) -> str:
        digest = self._digest(call)
        return " ".join(_WORDS[byte % len(_WORDS)] for byte in digest[: 4 + digest[31] % 5])

    def _digest(self, call: ProviderCall) -> bytes:
        said = [[message.role, message.content] for message in call.messages]
        return hashlib.sha256(json.dumps([self._model_id, said, call.seed]).encode()).digest()
