"""What people may send as a config, and what stored values tolerate."""

import pytest
from pydantic import ValidationError

from domain.evaluation import EffectiveConfig, EvaluationConfig


@pytest.mark.parametrize(
    "config",
    [
        {"unknown": 1},
        {"limits": {"unknown": 1}},
        {"model": {"unknown": 1}},
        {"environment": "../../etc"},
        {"environment": ""},
        {"params": {"not a name": 1}},
        {"params": {"model": 1}},
        {"params": {"x": "y" * 70_000}},
        {"seed": -1},
        {"seed": 1 << 32},
        {"tags": {"a": "x" * 201}},
        {"tags": {f"t{n}": "" for n in range(21)}},
        {"timeout": None, "limits": 3},
    ],
)
def test_a_config_that_means_nothing_here_does_not_validate(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EvaluationConfig.model_validate(config)


def test_a_stored_config_tolerates_what_a_later_version_wrote() -> None:
    assert EffectiveConfig.model_validate({"timeout": 5, "from_the_future": True}).timeout == 5
