"""Limits: each has a default and a maximum, and nothing means "no limit"."""

import pytest
from pydantic import ValidationError

from domain.evaluation import EvaluationConfig, settle
from domain.limits import BOUNDS, MODEL_LIMITS, RUN_LIMITS, Bound, LimitExceeded, ModelLimits, OperatorLimits, RunLimits

OPERATOR = OperatorLimits()


def asked_for(name: str, value: object) -> dict[str, object]:
    if name in RUN_LIMITS:
        return {"limits": {name: value}}
    return {"model": {name: value}} if name in ("max_calls", "parallel") else {name: value}


ASKABLE = [name for name in BOUNDS if name in (*RUN_LIMITS, "max_calls", "parallel", "timeout")]


@pytest.mark.parametrize("name", ASKABLE)
def test_the_maximum_may_be_asked_for_and_one_more_may_not(name: str) -> None:
    maximum = BOUNDS[name].maximum

    settle(EvaluationConfig.model_validate(asked_for(name, maximum)), OPERATOR)
    with pytest.raises(LimitExceeded, match=name):
        settle(EvaluationConfig.model_validate(asked_for(name, maximum + 1)), OPERATOR)


@pytest.mark.parametrize("name", ASKABLE)
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "5", float("inf")])
def test_zero_negative_and_other_types_do_not_validate(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        EvaluationConfig.model_validate(asked_for(name, value))


def test_what_is_not_asked_for_is_the_default() -> None:
    config = settle(EvaluationConfig(), OPERATOR)

    in_force = {"timeout": config.timeout, **config.limits.model_dump(), **config.model.model_dump()}
    assert in_force == {name: bound.default for name, bound in BOUNDS.items()}


def test_every_bound_is_a_field_that_somebody_honours() -> None:
    assert set(RUN_LIMITS) == set(RunLimits.model_fields)
    assert set(MODEL_LIMITS) == set(ModelLimits.model_fields)
    assert set(BOUNDS) == {"timeout", *RUN_LIMITS, *MODEL_LIMITS}


def test_an_operator_may_be_stricter() -> None:
    bounds = dict(BOUNDS) | {"timeout": Bound(default=5, maximum=10, unit="s", why="a small machine")}

    with pytest.raises(LimitExceeded):
        OperatorLimits(bounds=bounds).settle("timeout", 11)


def test_an_operator_table_with_a_gap_does_not_validate() -> None:
    with pytest.raises(ValidationError, match="bounds must name exactly"):
        OperatorLimits(bounds={"timeout": BOUNDS["timeout"]})


def test_a_default_beyond_its_maximum_does_not_validate() -> None:
    with pytest.raises(ValidationError, match="must not exceed"):
        Bound(default=2, maximum=1, unit="s", why="")
