"""The models that can be evaluated here: opens one for a run, with its provider and its budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

import httpx

from domain.errors import ModelUnavailable
from domain.evaluation import Evaluation
from domain.model_catalogue import CatalogueModel, Provider
from worker.model_providers.budget import BudgetedModel
from worker.model_providers.canned import CannedProvider
from worker.model_providers.mock import MockProvider
from worker.model_providers.openai_compatible import OpenAiCompatibleProvider
from worker.model_providers.provider import ModelProvider


class CatalogueModels:
    """Answers executions with the catalogue's providers."""

    def __init__(self, catalogue: Mapping[str, CatalogueModel], client: httpx.AsyncClient) -> None:
        self._providers = {model_id: _provider(model, client) for model_id, model in catalogue.items()}

    def open(self, evaluation: Evaluation) -> BudgetedModel:
        """The model of one run. Raises ModelUnavailable where it has left the catalogue since the submission."""
        provider = self._providers.get(evaluation.model_id)
        if provider is None:
            raise ModelUnavailable("the model is not in this worker's catalogue")
        return BudgetedModel(provider, evaluation.config.model, evaluation.config.seed)


class CannedModels:
    """Answers trials: whatever the model, with the same words."""

    def open(self, evaluation: Evaluation) -> BudgetedModel:
        """The model of one trial."""
        return BudgetedModel(CannedProvider(), evaluation.config.model, evaluation.config.seed)


def _provider(model: CatalogueModel, client: httpx.AsyncClient) -> ModelProvider:
    match model.provider:
        case Provider.MOCK:
            return MockProvider(model.model_id)
        case Provider.OPENAI_COMPATIBLE:
            assert model.base_url is not None
            key_file = Path(model.key_file) if model.key_file else None
            return OpenAiCompatibleProvider(client, model.base_url, model.name or model.model_id, key_file)
        case _:
            assert_never(model.provider)
