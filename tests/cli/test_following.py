from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

from cli import following
from cli.client import Refused, ServerAway, ServerEvent
from cli.following import follow
from tests.cli.servers import EVALUATION, a_client, a_problem, a_stream, an_event

END = "event: end\ndata: {}\n\n"
QUEUED = an_event(1, "status", status="queued")
LINE = an_event(2, "log", text="one")
LAST = an_event(3, "status", status="completed")


class Server:
    """Gives one stream after the other, and says which status it has when it is asked."""

    def __init__(self, *streams: httpx.Response | Exception, status: str = "executing") -> None:
        self.streams = list(streams)
        self.status = status
        self.asked_from: list[str | None] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/status"):
            return httpx.Response(200, json={"status": self.status})
        self.asked_from.append(request.headers.get("Last-Event-ID"))
        stream = self.streams.pop(0)
        if isinstance(stream, Exception):
            raise stream
        return stream

    def followed(self) -> list[ServerEvent]:
        return list(follow(a_client(self), EVALUATION, sleep=self.slept.append))


def test_following_ends_with_the_status_that_ends_it() -> None:
    server = Server(a_stream(QUEUED, LINE, LAST))

    assert [event.cursor for event in server.followed()] == ["c1", "c2", "c3"]
    assert server.slept == []


def test_the_next_stream_goes_on_behind_the_last_event() -> None:
    server = Server(a_stream(QUEUED, END), a_stream(LINE), a_stream(LAST))

    assert [event.cursor for event in server.followed()] == ["c1", "c2", "c3"]
    assert server.asked_from == [None, "c1", "c2"]


def test_what_comes_between_the_end_of_a_stream_and_the_end_of_the_evaluation_is_not_lost() -> None:
    server = Server(a_stream(QUEUED, END), a_stream(LINE, LAST), status="completed")

    assert [event.cursor for event in server.followed()] == ["c1", "c2", "c3"]


def test_one_that_had_ended_before_the_cursor_ends_without_an_event() -> None:
    server = Server(a_stream(END), a_stream(END), status="stopped")

    assert server.followed() == []
    assert server.streams == []


def test_a_server_that_comes_back_is_followed_on() -> None:
    server = Server(a_stream(QUEUED), httpx.ConnectError("refused"), httpx.Response(503), a_stream(LINE, LAST))

    assert [event.cursor for event in server.followed()] == ["c1", "c2", "c3"]


def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", -1.0)

    with pytest.raises(ServerAway):
        Server(httpx.ConnectError("refused")).followed()


def test_too_many_requests_are_waited_for_as_long_as_the_server_says() -> None:
    too_many = a_problem(429, "rate_limited", "Too many.", **{"Retry-After": "5"})
    server = Server(a_stream(QUEUED), too_many, a_stream(LINE, LAST))

    assert [event.cursor for event in server.followed()] == ["c1", "c2", "c3"]
    assert server.slept[-1] == 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_asked_for_again(status: int) -> None:
    server = Server(a_problem(status, "refused", "No."))

    with pytest.raises(Refused):
        server.followed()

    assert len(server.asked_from) == 1


def test_a_status_that_this_client_does_not_know_yet_does_not_end_it() -> None:
    server = Server(a_stream(an_event(1, "status", status="pondering"), LAST))

    assert len(server.followed()) == 2


def test_patience_begins_anew_after_a_server_that_was_back(monkeypatch: pytest.MonkeyPatch) -> None:
    away = httpx.ConnectError("refused")
    server = Server(a_stream(QUEUED), away, a_stream(END), away, a_stream(LAST))
    minutes = iter(range(100))
    clock = SimpleNamespace(monotonic=lambda: 50.0 * next(minutes))
    monkeypatch.setattr(following, "time", clock)

    assert [event.cursor for event in server.followed()] == ["c1", "c3"]
