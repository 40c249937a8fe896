"""Whatever a signal carries is made harmless, and a stop is a stop."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.evaluation import StopOrder
from workflows.signals import MAX_NAME, MAX_TEXT, SOMEBODY, decision, stop_order

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["reason", "by"]), inner),
)


@given(ANYTHING)
def test_nothing_makes_them_raise(request_: Any) -> None:
    order, decided = stop_order(request_), decision(request_)

    assert len(order.reason) <= MAX_TEXT
    assert order.reason.isprintable()
    assert len(order.by) <= MAX_NAME
    assert decided.by


@pytest.mark.parametrize(
    ("request_", "order"),
    [
        (None, StopOrder()),
        ("enough", StopOrder(reason="enough")),
        ({"reason": "enough", "by": "ada"}, StopOrder(reason="enough", by="ada")),
        ({"reason": ["a", "list"], "by": {}}, StopOrder()),
        (7, StopOrder(reason="7")),
        pytest.param(10**5000, StopOrder(), id="more digits than Python prints"),
        ([1, 2], StopOrder()),
        ("a\nb\x00c\ud800d", StopOrder(reason="a b c d")),
        ("x" * 10_000, StopOrder(reason="x" * MAX_TEXT)),
    ],
)
def test_an_order_keeps_what_can_be_read(request_: Any, order: StopOrder) -> None:
    assert stop_order(request_) == order


def test_a_decision_without_a_name_is_somebodys() -> None:
    assert decision(None).by == decision({}).by == SOMEBODY


def test_a_decision_of_no_known_shape_is_not_understood() -> None:
    requests: list[Any] = [[1], 7, True, "ada", {}, None]

    assert [decision(request_).understood for request_ in requests] == [False] * 3 + [True] * 3


def test_a_decision_of_two_values_is_not_understood() -> None:
    assert not decision("ada", "bob").understood


def test_a_digest_that_is_not_text_is_not_absent() -> None:
    assert decision({"findings_digest": []}).findings_digest == ""
