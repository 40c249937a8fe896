from __future__ import annotations

import json

import httpx
import pytest

from domain.limits import BOUNDS, MAX_SCRIPT_BYTES
from tests.api.conftest import EXAMPLE, JSON, ROOT, submitted
from tests.api.fake_workflows import FakeWorkflows


def body(script: object = "print(1)\n", **fields: object) -> bytes:
    return json.dumps({"model_id": "mock", "script": script, **fields}).encode()


def nested(depth: int) -> bytes:
    return b'{"model_id": "mock", "script": "1", "config": {"params": {"a": ' + b"[" * depth + b"]" * depth + b"}}}"


def nested_values(value: bytes, count: int = 340_000) -> bytes:
    return b'{"model_id": "mock", "script": "1", "config": {"params": {"a": [' + (value + b",") * count + b"1]}}}"


def limits(**values: object) -> bytes:
    return body(config={"limits": values})


BAD = {
    "nothing at all": (b"", 400, "invalid_request"),
    "not JSON": (b"model_id: mock", 400, "invalid_json"),
    "half a document": (EXAMPLE[:-1], 400, "invalid_json"),
    "a list": (b"[]", 400, "invalid_request"),
    "null": (b"null", 400, "invalid_request"),
    "invalid UTF-8": (b'{"model_id": "mock", "script": "\xff\xfe"}', 400, "invalid_utf8"),
    "a byte order mark": (b"\xef\xbb\xbf" + EXAMPLE, 400, "invalid_json"),
    "UTF-16": (EXAMPLE.decode().encode("utf-16"), 400, "invalid_utf8"),
    "a key twice": (b'{"model_id": "mock", "model_id": "gpt-4", "script": "1"}', 400, "duplicate_key"),
    "NaN": (b'{"model_id": "mock", "script": "1", "config": {"timeout": NaN}}', 400, "invalid_number"),
    "an infinity": (b'{"model_id": "m", "script": "1", "config": {"params": {"a": 1e400}}}', 400, "invalid_number"),
    "a huge integer": (b'{"config": {"params": {"a": ' + b"9" * 100_000 + b"}}}", 400, "invalid_number"),
    "JSON nested 33 deep": (nested(31), 400, "too_deep"),
    "JSON nested 100,000 deep": (nested(100_000), 400, "too_deep"),
    "340,000 numbers": (nested_values(b"1"), 400, "too_many_values"),
    "340,000 lists": (nested_values(b"[]"), 400, "too_many_values"),
    "200,000 objects": (nested_values(b"{}", 200_000), 400, "too_many_values"),
    "200,000 texts": (nested_values(b'""', 200_000), 400, "too_many_values"),
    "a lone surrogate": (b'{"model_id": "mock", "script": "x = \'\\ud800\'"}', 400, "lone_surrogate"),
    "a lone surrogate as a key": (b'{"model_id": "mock", "\\udfff": 1}', 400, "lone_surrogate"),
    "NUL": (body("print(1)\0"), 400, "nul_character"),
    "wrong types": (body(7), 400, "invalid_request"),
    "a list as a script": (body(["print(1)"]), 400, "invalid_request"),
    "an unknown field": (body(verdict="approved"), 400, "invalid_request"),
    "an unknown key of config": (body(config={"image": "evil"}), 400, "invalid_request"),
    "an unknown limit": (limits(gpus=1), 400, "invalid_request"),
    "an empty script": (body(""), 400, "invalid_request"),
    "a script of blanks": (body("  \n\n"), 400, "empty_script"),
    "a script that is no Python": (body("def f(:\n"), 400, "syntax_error"),
    "a cookie that is not UTF-8": (body("# coding: utf-7\nprint(1)\n"), 400, "encoding_cookie"),
    "100,000 nested parentheses": (body("(" * 100_000 + ")" * 100_000), 400, None),
    "an unknown model": (EXAMPLE.replace(b"gpt-4", b"gpt-5"), 400, "unknown_model"),
    "an unknown environment": (body(config={"environment": "nowhere"}), 400, "unknown_environment"),
    "a timeout of zero": (body(config={"timeout": 0}), 400, "invalid_request"),
    "a negative timeout": (body(config={"timeout": -1}), 400, "invalid_request"),
    "a timeout that is true": (body(config={"timeout": True}), 400, "invalid_request"),
    "a timeout in a string": (body(config={"timeout": "300"}), 400, "invalid_request"),
    "a timeout above the maximum": (body(config={"timeout": BOUNDS["timeout"].maximum + 1}), 400, "limit_exceeded"),
    "memory above the maximum": (limits(memory_bytes=1 << 60), 400, "limit_exceeded"),
    "no processes": (limits(processes=0), 400, "invalid_request"),
    "too many calls": (body(config={"model": {"max_calls": 1 << 40}}), 400, "limit_exceeded"),
    "params that are no names": (body(config={"params": {"a b": 1}}), 400, "invalid_request"),
    "too many tags": (body(config={"tags": {f"t{n}": "" for n in range(100)}}), 400, "invalid_request"),
    "too large a script": (body("#" * (MAX_SCRIPT_BYTES + 1)), 413, "script_too_large"),
    "too large a body": (body("#" * 10_000_000), 413, "too_large"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_gets_a_typed_problem_and_spends_no_workflow(
    name: str, client: httpx.AsyncClient, workflows: FakeWorkflows
):
    content, status, code = BAD[name]

    answer = await client.post(ROOT, content=content, headers=JSON)

    problem = answer.json()
    assert answer.status_code == status, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert code is None or problem["code"] == code, problem
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert workflows.started == []
    await submitted(client)  # the next request is served


async def test_our_own_words_about_bad_input_come_without_the_frameworks(client: httpx.AsyncClient):
    answer = await client.post(ROOT, content=body(config={"params": {"a b": 1}}), headers=JSON)

    told = answer.json()
    assert told["detail"] == "config.params: params must have Python identifiers other than 'model' as keys"
    assert told["errors"][0]["message"] in told["detail"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("NaN", "NaN is not a JSON number."),
        ("-Infinity", "-Infinity is not a JSON number."),
        ("1e999", "A number is too large for a double."),
        ("1" * 30, "An integer does not fit into 64 bits."),
        ('"a\\u0000"', "A text contains NUL."),
        ('"\\ud800"', "A text contains half a surrogate pair."),
        ('{"\\ud800": 1}', "A text contains half a surrogate pair."),
        ('{"b": 1, "b": 2}', "An object has the same key twice: readers would disagree about it."),
    ],
)
async def test_what_json_lets_through_is_refused_by_its_place(written: str, said: str, client: httpx.AsyncClient):
    text = f'{{"model_id": "mock", "script": "1", "config": {{"params": {{"a": [1, {written}]}}}}}}'

    problem = (await client.post(ROOT, content=text.encode(), headers=JSON)).json()

    assert problem["detail"] == f"config.params.a.1: {said}"
    assert problem["errors"] == [
        {"loc": ["body", "config", "params", "a", 1], "message": said, "type": problem["code"]}
    ]


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"timeout": 1 << 40}, ["timeout"]),
        ({"limits": {"memory_bytes": 1 << 60}}, ["limits", "memory_bytes"]),
        ({"model": {"max_calls": 1 << 40}}, ["model", "max_calls"]),
    ],
)
async def test_a_limit_above_the_maximum_is_told_with_its_place(
    config: object, place: list[str], client: httpx.AsyncClient
):
    answer = await client.post(ROOT, content=body(config=config), headers=JSON)

    (told,) = answer.json()["errors"]
    assert told["loc"] == ["body", "config", *place]
    assert told["maximum"] == BOUNDS[place[-1]].maximum


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-16", "multipart/form-data", "a" * 1000])
async def test_other_media_types_are_refused(kind: str, client: httpx.AsyncClient):
    answer = await client.post(ROOT, content=EXAMPLE, headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient):
    answer = await client.post(ROOT, content=EXAMPLE, headers=JSON | {"Content-Encoding": "gzip"})

    assert answer.status_code == 415


async def test_json_with_its_charset_is_json(client: httpx.AsyncClient):
    answer = await client.post(ROOT, content=EXAMPLE, headers={"Content-Type": 'application/json; charset="UTF-8"'})

    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", f"{ROOT}/", 404),
        ("PUT", ROOT, 405),
        ("PATCH", f"{ROOT}/eval_x", 405),
        ("GET", f"{ROOT}?status=nowhere", 400),
        ("GET", f"{ROOT}?limit=0", 400),
        ("GET", f"{ROOT}?limit=x", 400),
        ("GET", f"{ROOT}?cursor=x", 400),
        ("GET", f"{ROOT}/eval_%00/status", 404),
        ("GET", f"{ROOT}/%ff%fe", 404),
        ("GET", f"{ROOT}/{'a' * 5000}", 404),
    ],
)
async def test_every_refusal_is_a_problem(method: str, path: str, status: int, client: httpx.AsyncClient):
    answer = await client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) >= {"type", "title", "status", "detail", "code", "request_id"}


@pytest.mark.parametrize("key", ["", " ", "a" * 201, "a b", "ü"])
async def test_an_idempotency_key_is_short_and_visible(key: str, client: httpx.AsyncClient):
    headers = JSON | {"Idempotency-Key": key}

    answer = await client.post(ROOT, content=EXAMPLE, headers=[(k.encode(), v.encode()) for k, v in headers.items()])

    assert answer.status_code == 400


async def test_a_refused_method_is_told_every_method_that_the_path_has(client: httpx.AsyncClient):
    answer = await client.put(f"{ROOT}/eval_x")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "DELETE, GET"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_pages_of_the_documentation_tell_their_method_too(path: str, client: httpx.AsyncClient):
    answer = await client.put(path)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
