"""The one view of a namespace: lists, watches, and what it does when either ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from sandbox.kubernetes.cluster_errors import ClusterAway, ClusterError, Expired
from sandbox.kubernetes.reflector import STALE_AFTER, Reflector


def a_pod(name: str, version: int, phase: str = "Running", uid: str | None = None) -> dict[str, Any]:
    metadata = {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version), "managedFields": [1]}
    return {"metadata": metadata, "status": {"phase": phase}}


class Script:
    """A cluster that answers what was written down; at the end its watch stays open."""

    def __init__(self, *answers: list[dict[str, Any]] | list[str] | ClusterError) -> None:
        self._answers = list(answers)
        self.watched: list[str] = []
        self.pages = 0
        self.done = asyncio.Event()

    async def list_page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:  # noqa: ARG002
        self.pages += 1
        answer = self._answers.pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        more = "next" if self._answers and self._answers[0] == ["page"] else None
        if more:
            self._answers.pop(0)
        return {"metadata": {"resourceVersion": "10", "continue": more}, "items": answer}

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:  # noqa: ARG002
        self.watched.append(query["resourceVersion"])
        if not self._answers:
            self.done.set()
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        for event in answer:
            assert isinstance(event, dict)
            yield event


def event(kind: str, pod: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": pod}


async def followed(script: Script) -> Reflector:
    reflector = Reflector(script, "executions", "a=b", first_pause=0.001)
    async with reflector.running(), asyncio.timeout(10):
        await script.done.wait()
    return reflector


async def test_pages_are_put_together() -> None:
    reflector = await followed(Script([a_pod("a", 1)], ["page"], [a_pod("b", 2)]))

    assert {pod.name for pod in reflector.pods()} == {"a", "b"}


async def test_a_watch_goes_on_from_its_last_event_and_from_bookmarks() -> None:
    script = Script(
        [a_pod("a", 1)],
        [event("MODIFIED", a_pod("a", 11, "Succeeded"))],
        [event("BOOKMARK", {"metadata": {"resourceVersion": "25"}})],
    )

    reflector = await followed(script)

    assert script.watched == ["10", "11", "25"]
    assert reflector.pod("a") is not None
    assert reflector.pod("a").phase == "Succeeded"  # type: ignore[union-attr]


async def test_an_expired_watch_lists_again_and_tells_of_pods_that_went_meanwhile() -> None:
    script = Script([a_pod("a", 1), a_pod("b", 2)], Expired("too old", 410), [a_pod("b", 2)])
    reflector = Reflector(script, "executions", "a=b", first_pause=0.001)

    async with reflector.changes("a") as changes, reflector.running(), asyncio.timeout(10):
        await script.done.wait()
        views = [changes.get_nowait() for _ in range(changes.qsize())]

    assert [view.gone for view in views] == [False, True]
    assert script.pages == 2


async def test_a_watch_that_fails_is_begun_again_where_it_was() -> None:
    script = Script([a_pod("a", 1)], ClusterAway("cut"), ClusterAway("cut"))

    await followed(script)

    assert script.watched == ["10", "10", "10"]


async def test_a_watch_that_fails_twice_without_a_word_begins_with_a_list() -> None:
    """An event that cannot be read would be the first one each time."""
    script = Script(
        [a_pod("a", 1)], [event("MODIFIED", a_pod("a", 11))], *[ClusterAway("too big")] * 2, [a_pod("b", 2)]
    )

    reflector = await followed(script)

    assert script.watched == ["10", "11", "11", "10"]
    assert [pod.name for pod in reflector.pods()] == ["b"]


async def test_a_name_that_is_used_again_is_another_pod() -> None:
    script = Script(
        [a_pod("a", 1, uid="old")],
        [event("ADDED", a_pod("a", 12, uid="new")), event("DELETED", a_pod("a", 13, uid="old"))],
    )

    reflector = await followed(script)

    assert reflector.pod("a") is not None
    assert reflector.pod("a").uid == "new"  # type: ignore[union-attr]


async def test_whoever_comes_later_hears_what_is_known() -> None:
    reflector = await followed(Script([a_pod("a", 1)]))

    async with reflector.changes("a") as changes:
        assert changes.get_nowait().name == "a"


async def test_a_silent_watch_is_stale() -> None:
    now = [0.0]
    script = Script([a_pod("a", 1)])
    reflector = Reflector(script, "executions", "a=b", now=lambda: now[0], first_pause=0.001)
    async with reflector.running(), asyncio.timeout(10):
        await script.done.wait()

    fresh = reflector.stale
    now[0] = STALE_AFTER + 1

    assert (fresh, reflector.stale) == (False, True)


async def test_before_its_first_list_everything_is_stale() -> None:
    assert Reflector(Script(), "executions", "a=b").stale


@pytest.mark.parametrize("what", [{"metadata": {}}, {"metadata": []}, {}, [], None, "a pod"])
async def test_an_event_that_is_no_pod_blinds_for_no_longer_than_a_list(what: Any) -> None:
    script = Script([a_pod("a", 1)], [event("MODIFIED", what)], [a_pod("b", 2)])

    reflector = await followed(script)

    assert [pod.name for pod in reflector.pods()] == ["b"]
    assert script.pages == 2
