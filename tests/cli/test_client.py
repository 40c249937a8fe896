from __future__ import annotations

import httpx
import pytest

from cli.client import AirlockClient, Misconfigured, Refused, ServerAway
from tests.cli.servers import EVALUATION, a_client, a_problem, a_stream, an_event


def test_a_problem_is_told_with_its_code_and_when_to_come_back() -> None:
    client = a_client(lambda _: a_problem(429, "rate_limited", "Too many.", **{"Retry-After": "7"}))

    with pytest.raises(Refused) as told:
        client.list()

    assert (told.value.status, told.value.code, told.value.retry_after) == (429, "rate_limited", 7)
    assert str(told.value) == "Too many."


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_fails_is_away(status: int) -> None:
    with pytest.raises(ServerAway):
        a_client(lambda _: httpx.Response(status, text="<html>bad gateway</html>")).status(EVALUATION)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Welcome</html>"),
        httpx.Response(200, json=["a", "list"]),
        httpx.Response(200, json="a word"),
        httpx.Response(200, content=b"\xff\xfe\x00"),
    ],
    ids=["page", "list", "word", "bytes"],
)
def test_what_answers_with_no_document_is_no_airlock(answer: httpx.Response) -> None:
    with pytest.raises(ServerAway, match="is no Airlock"):
        a_client(lambda _: answer).list()


def test_a_redirection_is_not_taken_for_an_answer() -> None:
    with pytest.raises(Refused):
        a_client(lambda _: httpx.Response(302, headers={"Location": "https://elsewhere.example"})).list()


def test_a_server_that_is_cut_off_in_the_middle_of_an_answer_is_away() -> None:
    def cut(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("peer closed connection", request=request)

    with pytest.raises(ServerAway, match="cannot be reached"):
        a_client(cut).list()


@pytest.mark.parametrize("url", ["http://[::1", "http://host:port", "http://a b", "http://x\n"])
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises((Misconfigured, ServerAway)):
        AirlockClient(url, "").list()


@pytest.mark.parametrize("key", ["secret\r\nX-Other: 1", "sec ret", "sécret", "secret\x00", "secret\n"])
def test_a_key_that_no_header_can_hold_is_neither_sent_nor_shown(key: str) -> None:
    with pytest.raises(Misconfigured) as told:
        AirlockClient("http://airlock.test", key)

    assert "ret" not in str(told.value)


@pytest.mark.parametrize("typed", ["../keys", "a/b", "a?b=c", "a#b", "..", ".", "%2e%2e", "eval_\n", "é"])
def test_whatever_is_typed_for_an_id_names_one_evaluation(typed: str) -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200, json={"status": "queued"})

    a_client(answer).status(typed)

    assert len(asked[0].split(b"/")) == len(f"/api/v1/evaluations/{EVALUATION}/status".split("/"))
    assert asked[0].startswith(b"/api/v1/evaluations/")
    assert asked[0].endswith(b"/status")
    assert b"?" not in asked[0]


def test_events_are_read_with_their_cursors_and_comments_are_skipped() -> None:
    stream = a_stream(": ping\n\n", an_event(1, "status", status="queued"), "\n", an_event(2, "log", text="x"))

    events = list(a_client(lambda _: stream).events(EVALUATION))

    assert [(event.cursor, event.kind) for event in events] == [("c1", "status"), ("c2", "log")]


def test_an_event_that_is_none_ends_the_stream_as_a_failure() -> None:
    with pytest.raises(ServerAway):
        list(a_client(lambda _: a_stream("id: 1\ndata: {half\n\n")).events(EVALUATION))


@pytest.mark.parametrize("url", ["", "airlock.test", "ftp://airlock.test", "file:///etc/passwd"])
def test_an_address_that_is_none_is_said_before_anything_is_asked(url: str) -> None:
    with pytest.raises(Misconfigured, match="AIRLOCK_URL"):
        AirlockClient(url, "secret")


def test_a_password_in_the_address_is_not_repeated() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = AirlockClient("http://me:hunter2@airlock.test", "secret", httpx.MockTransport(away))

    with pytest.raises(ServerAway) as told:
        client.models()
    assert str(told.value) == "http://airlock.test cannot be reached: refused"
