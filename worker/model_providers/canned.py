"""The provider of trials: always the same answer, so that a trial costs nothing and tells nothing."""

from __future__ import annotations

from worker.model_providers.provider import ProviderAnswer, ProviderCall

ANSWER = "This is a canned answer."


class CannedProvider:
    """Says one thing."""

    name = "canned"

    async def answer(self, call: ProviderCall) -> ProviderAnswer:
        """Answer at once, whatever was asked."""
        return ProviderAnswer(text=ANSWER.encode()[: call.max_answer_bytes].decode(errors="ignore"))
