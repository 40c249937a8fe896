"""What the calls of a run may cost, and what is kept of them."""

import asyncio

import pytest
from pydantic import JsonValue

from domain.limits import ModelLimits
from domain.model_calls import ChatMessage, ModelErrorKind, ModelRequest, call_digest, transcript_digest
from worker.model_providers.budget import BudgetedModel
from worker.model_providers.canned import CannedProvider
from worker.model_providers.mock import MockProvider
from worker.model_providers.provider import CallFailed, ProviderAnswer, ProviderCall, checked_options


class Scripted:
    """A provider that does what it is told."""

    name = "scripted"

    def __init__(self, text: str = "yes", fails: BaseException | None = None, slow: bool = False) -> None:
        self.text, self.fails, self.slow = text, fails, slow
        self.at_once = self.most_at_once = 0
        self.calls: list[ProviderCall] = []

    async def answer(self, call: ProviderCall) -> ProviderAnswer:
        self.calls.append(call)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(3600 if self.slow else 0)
        self.at_once -= 1
        if self.fails is not None:
            raise self.fails
        return ProviderAnswer(text=self.text, prompt_tokens=3, answer_tokens=2)


def a_request(call: int = 0, text: str = "hello", **options: float) -> ModelRequest:
    return ModelRequest(call=call, messages=(ChatMessage(role="user", content=text),), options=dict(options))


async def test_an_answer_is_counted() -> None:
    model = BudgetedModel(Scripted(), ModelLimits(), seed=0)

    answer = await model.answer(a_request(call=7))

    assert (answer.call, answer.text, answer.error) == (7, "yes", None)
    assert (model.use.provider, model.use.calls, model.use.failed_calls) == ("scripted", 1, 0)
    assert (model.use.prompt_bytes, model.use.answer_bytes, model.use.prompt_tokens) == (5, 3, 3)


async def test_a_run_that_asks_nothing_has_no_provider_and_no_transcript() -> None:
    model = BudgetedModel(Scripted(), ModelLimits(), seed=0)

    assert (model.use.provider, model.use.transcript_sha256) == (None, None)


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        (ModelLimits(max_calls=1), 2),
        (ModelLimits(tokens=5), 2),
        (ModelLimits(prompt_bytes=4), 1),
        (ModelLimits(answer_bytes=2), 1),
    ],
    ids=["calls", "tokens", "prompt", "answer"],
)
async def test_what_exceeds_a_budget_is_refused_and_counted(limits: ModelLimits, asked: int) -> None:
    model = BudgetedModel(Scripted(), limits, seed=0)

    answers = [await model.answer(a_request(n)) for n in range(asked)]

    assert [answer.error for answer in answers][-1] is ModelErrorKind.BUDGET
    assert (model.use.refused_calls, model.use.failed_calls) == (1, 0)


async def test_bytes_are_counted_and_not_characters() -> None:
    model = BudgetedModel(Scripted(), ModelLimits(prompt_bytes=4), seed=0)

    answer = await model.answer(a_request(text="äää"))

    assert answer.error is ModelErrorKind.BUDGET


async def test_a_slow_provider_is_a_timeout() -> None:
    model = BudgetedModel(Scripted(slow=True), ModelLimits(call_seconds=1), seed=0)

    answer = await model.answer(a_request())

    assert (answer.error, model.use.failed_calls) == (ModelErrorKind.TIMEOUT, 1)


async def test_no_more_calls_than_allowed_are_in_flight() -> None:
    provider = Scripted()
    model = BudgetedModel(provider, ModelLimits(parallel=2), seed=0)

    await asyncio.gather(*(model.answer(a_request(n)) for n in range(8)))

    assert provider.most_at_once == 2


async def test_calls_at_once_cannot_pass_the_budget_of_calls() -> None:
    provider = Scripted()
    model = BudgetedModel(provider, ModelLimits(max_calls=3), seed=0)

    await asyncio.gather(*(model.answer(a_request(n)) for n in range(8)))

    assert (len(provider.calls), model.use.refused_calls) == (3, 5)


@pytest.mark.parametrize("fails", [CallFailed(ModelErrorKind.UNAVAILABLE, "away"), RuntimeError("a defect")])
async def test_a_provider_that_fails_is_an_answer_with_an_error(fails: Exception) -> None:
    model = BudgetedModel(Scripted(fails=fails), ModelLimits(), seed=0)

    answer = await model.answer(a_request())

    assert answer.error is ModelErrorKind.UNAVAILABLE
    assert "defect" not in answer.message


@pytest.mark.parametrize("options", [{"n": 5}, {"temperature": -1}, {"max_tokens": 0.5}, {"stream": 1}])
async def test_an_unknown_or_senseless_option_is_refused(options: dict[str, JsonValue]) -> None:
    provider = Scripted()
    model = BudgetedModel(provider, ModelLimits(), seed=0)

    answer = await model.answer(a_request().model_copy(update={"options": options}))

    assert (answer.error, provider.calls) == (ModelErrorKind.INVALID, [])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_k": 5}, "there is no option 'top_k'; there are temperature, top_p, max_tokens, stop, seed"),
        ({"system": "Be brief."}, "a message of `chat`"),
        ({"temperature": 3}, "option 'temperature' must be less than or equal to 2"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "up to 4 of them"),
        ({"stop": ["a" * 201]}, "at most 200 characters"),
    ],
)
def test_a_refused_option_is_told_from_one_that_is_out_of_range(options: dict[str, JsonValue], words: str) -> None:
    with pytest.raises(CallFailed) as refused:
        checked_options(options)

    assert words in refused.value.message


async def test_the_scripts_seed_goes_before_the_evaluations() -> None:
    provider = Scripted()
    model = BudgetedModel(provider, ModelLimits(), seed=4)

    await model.answer(a_request(0))
    await model.answer(a_request(1, seed=9))

    assert [call.seed for call in provider.calls] == [4, 9]


async def test_the_transcript_digest_follows_from_the_journaled_words_in_any_order() -> None:
    model = BudgetedModel(Scripted(), ModelLimits(), seed=0)
    said = [(request := a_request(n), await model.answer(request)) for n in (2, 0, 1)]

    journaled = ((request.call, call_digest(request, answer)) for request, answer in reversed(said))

    assert model.use.transcript_sha256 == transcript_digest(journaled)


async def test_calls_that_were_refused_are_counted_and_not_kept() -> None:
    model = BudgetedModel(Scripted(), ModelLimits(max_calls=1), seed=0)
    request = a_request(0)
    answer = await model.answer(request)

    for number in range(1, 1000):
        await model.answer(a_request(number))
        await model.answer(a_request(number, n=5))

    assert (model.use.calls, model.use.refused_calls, model.use.failed_calls) == (1999, 999, 999)
    assert model.use.transcript_sha256 == transcript_digest([(0, call_digest(request, answer))])
    assert len(model._digests) == 1  # pyright: ignore[reportPrivateUsage] - what it keeps is the point


async def test_the_mock_answers_the_same_to_the_same() -> None:
    answers = [
        await BudgetedModel(MockProvider(name), ModelLimits(), seed).answer(a_request(text=text))
        for name, seed, text in (("a", 0, "hi"), ("a", 0, "hi"), ("b", 0, "hi"), ("a", 1, "hi"), ("a", 0, "ho"))
    ]

    first, again, *others = [answer.text for answer in answers]
    assert first == again
    assert all(other != first for other in others)


async def test_the_mock_adds_mostly_right() -> None:
    model = BudgetedModel(MockProvider("mock"), ModelLimits(), seed=0)

    right = [(await model.answer(a_request(text=f"What is {n} + 1?"))).text == str(n + 1) for n in range(64)]

    assert 40 < sum(right) < 64


async def test_the_canned_answer_is_the_same_for_everything() -> None:
    model = BudgetedModel(CannedProvider(), ModelLimits(), seed=0)

    texts = {(await model.answer(a_request(text=text))).text for text in ("one", "two")}

    assert (len(texts), model.use.prompt_tokens) == (1, 0)
