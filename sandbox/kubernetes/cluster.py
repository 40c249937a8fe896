"""The Kubernetes API as Airlock uses it: the only file that imports the client. JSON in, JSON out, errors of ours."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration  # pyright: ignore[reportMissingTypeStubs]
from kubernetes.aio.config import (  # pyright: ignore[reportMissingTypeStubs]
    ConfigException,
    load_incluster_config,  # pyright: ignore[reportUnknownVariableType]
    load_kube_config,  # pyright: ignore[reportUnknownVariableType]
)

from sandbox.kubernetes.attachment import PING_SECONDS, PROTOCOLS, Attachment
from sandbox.kubernetes.cluster_errors import ClusterAway, Refused, error_of, seconds_of, translated, words_of

if TYPE_CHECKING:
    from sandbox.kubernetes.access import Access

REQUEST_SECONDS = 10.0
"""Of any call that is not a stream: a lost node lets a log read hang for ever."""
WRITE_PAUSES = (0.2, 0.6, 1.5)
"""Between attempts at a write that the server had no time for, where it does not ask for longer ones itself."""
WATCH_SILENCE_SECONDS = 75.0
"""Longer than the minute between bookmarks: a watch that says nothing for so long is dead."""
WATCH_LINE_BYTES = 2 << 20
"""Of one event: a pod's annotations alone may be 256 KiB, and etcd takes 1.5 MiB. A longer one is an error."""
RENEWED_EVERY = 5.0
"""Seconds between looks whether credentials that the server refuses have been replaced."""
GOODBYE_SECONDS = 0.25
"""For TLS connections to end; aiohttp does not wait for them."""
_UNKNOWN_USER = 401
_SCHEME = "BearerToken"


class Cluster:
    """One API server, as one user."""

    def __init__(self, client: Any, kubeconfig: Path | None = None) -> None:
        self._client = client
        self._kubeconfig = kubeconfig
        self._renewing = asyncio.Lock()
        self._renewed_at: float | None = None

    @classmethod
    @asynccontextmanager
    async def connect(cls, kubeconfig: Path | None) -> AsyncGenerator[Self]:
        """Speak to the server that a file names, or, with None, to the one that this process runs in.

        Raises Refused where the file is missing or is none.
        """
        client = await _client(kubeconfig)
        try:
            yield cls(client, kubeconfig)
        finally:
            await client.close()
            await asyncio.sleep(GOODBYE_SECONDS)

    async def version(self) -> str:
        """The server's version."""
        return (await self._call("GET", "/version")).get("gitVersion", "")

    async def create_pod(self, namespace: str, pod: Mapping[str, Any]) -> dict[str, Any]:
        """Create it. Raises Conflict where the name is taken: by our own earlier attempt, perhaps."""
        return await self._write("POST", f"{_pods(namespace)}", body=pod)

    async def get_pod(self, namespace: str, name: str) -> dict[str, Any]:
        """Read it. Raises NotFound."""
        return await self._call("GET", f"{_pods(namespace)}/{name}")

    async def delete_pod(self, namespace: str, name: str, uid: str, *, grace_seconds: int = 1) -> None:
        """Delete this very pod. Raises NotFound, and Conflict where another one has its name."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": grace_seconds,
            "preconditions": {"uid": uid},
        }
        await self._write("DELETE", f"{_pods(namespace)}/{name}", body=body)

    async def list_page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One page of a list. Raises Expired where its continuation is too old."""
        return await self._call("GET", path, query)

    async def events_of(self, namespace: str, uid: str) -> list[dict[str, Any]]:
        """What the cluster said about a pod."""
        query = {"fieldSelector": f"involvedObject.uid={uid}", "limit": "50"}
        listed = await self._call("GET", f"/api/v1/namespaces/{namespace}/events", query)
        return listed.get("items") or []

    async def may(self, access: Access) -> bool:
        """Whether this user may do something."""
        resource, _, subresource = access.resource.partition("/")
        wanted = {
            "verb": access.verb,
            "group": access.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": access.namespace or "",
            "name": access.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        review = await self._write("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
        status: Mapping[str, Any] | None = review.get("status")
        if not status:
            raise Refused("whoever answers there is no Kubernetes")
        return bool(status.get("allowed"))

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Any object."""
        return await self._call("GET", path, query)

    async def write(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create or replace any object. Raises Conflict where it has changed meanwhile."""
        return await self._write(method, path, body=body)

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """The events of a watch, bookmarks among them. Ends with the server's timeout. Raises Expired, ClusterAway."""
        timeout = aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=WATCH_SILENCE_SECONDS)
        with translated():
            response = await self._request("GET", path, query, within=timeout)
            try:
                async for line in response.content:
                    event: dict[str, Any] = json.loads(line)
                    if event.get("type") == "ERROR":
                        status = event["object"]
                        raise error_of(status.get("code", 0), status.get("message", "the watch failed"))
                    yield event
            finally:
                response.close()

    async def log(self, namespace: str, name: str, since: str | None = None) -> AsyncIterator[bytes]:
        """What the pod has written, from its beginning or an RFC 3339 time on, piece by piece, until now.

        Nothing here proves anything: of an evicted pod it is an error text with status 200, of a rotated log nothing.
        """
        query = {"container": "script"} | ({"sinceTime": since} if since else {})
        timeout = aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=REQUEST_SECONDS)
        with translated():
            response = await self._request("GET", f"{_pods(namespace)}/{name}/log", query, within=timeout)
            try:
                async for piece in response.content.iter_any():
                    yield piece
            finally:
                response.close()

    @asynccontextmanager
    async def attach(self, namespace: str, name: str) -> AsyncGenerator[Attachment]:
        """Both ends of process 1."""
        query = {"container": "script", "stdin": "true", "stdout": "true", "stderr": "false"}
        with translated():
            used = self._token
            url, headers = await self._address("GET", f"{_pods(namespace)}/{name}/attach", query)
            connecting = self._session().ws_connect(
                url,
                headers=headers,
                protocols=PROTOCOLS,
                heartbeat=PING_SECONDS,
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),  # pyright: ignore[reportCallIssue] - attrs without stubs
            )
            try:
                socket = await connecting
            except aiohttp.WSServerHandshakeError as error:
                if error.status == _UNKNOWN_USER:
                    await self._renewed(used)  # whoever attaches tries again by himself
                raise
            async with socket:
                yield Attachment(socket)

    async def _write(self, method: str, path: str, *, body: Mapping[str, Any]) -> dict[str, Any]:
        """A write, again where the server was busy. A name that is taken is for the caller to judge."""
        for pause in WRITE_PAUSES:
            try:
                return await self._call(method, path, body=body)
            except ClusterAway as error:
                await asyncio.sleep(max(pause, error.retry_after))
        return await self._call(method, path, body=body)

    async def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        with translated():
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            response = await self._request(method, path, query or {}, body=body, within=timeout)
            async with response:
                answer: Any = json.loads(await response.read())
        if not isinstance(answer, dict):
            raise Refused("whoever answers there is no Kubernetes")
        return cast("dict[str, Any]", answer)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        within: aiohttp.ClientTimeout,
        body: Mapping[str, Any] | None = None,
    ) -> aiohttp.ClientResponse:
        while True:
            used = self._token
            url, headers = await self._address(method, path, query)
            response: aiohttp.ClientResponse = await self._session().request(
                method,
                url,
                headers=headers,
                json=body,
                timeout=within,
                allow_redirects=False,
                read_bufsize=WATCH_LINE_BYTES // 2,  # aiohttp takes a line of twice that
            )
            if response.status != _UNKNOWN_USER or not await self._renewed(used):
                break
            response.close()
        if response.status >= 400:
            async with response:
                error = error_of(response.status, words_of(await response.read()))
                error.retry_after = seconds_of(response.headers.get("Retry-After"))
                raise error
        return response

    async def _address(self, method: str, path: str, query: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Where to, and with which credentials: in a pod the client itself renews them."""
        serialized: Any = await self._client.param_serialize(
            method, path, query_params=list(query.items()), header_params={}, auth_settings=[_SCHEME]
        )
        return serialized[1], serialized[2]

    @property
    def _token(self) -> str | None:
        return self._client.configuration.api_key.get(_SCHEME)

    async def _renewed(self, refused: str | None) -> bool:
        """Whether there is another token than the refused one by now: it may have expired, and been replaced."""
        async with self._renewing:
            now = time.monotonic()
            if self._token != refused:
                return True
            if self._kubeconfig is None or (self._renewed_at and now - self._renewed_at < RENEWED_EVERY):
                return False
            self._renewed_at = now
            with suppress(Refused):  # it is being written just now
                self._client.configuration.api_key.update((await _configuration(self._kubeconfig)).api_key)
            return self._token != refused

    def _session(self) -> aiohttp.ClientSession:
        """The client's own pool, with its TLS."""
        rest: Any = self._client.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 - as the client's own WsApiClient does
        return rest.pool_manager


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


async def _client(kubeconfig: Path | None) -> Any:
    """The client of the server that is named. Raises Refused."""
    configuration = await _configuration(kubeconfig)
    with _said_of(kubeconfig):
        return ApiClient(configuration)


async def _configuration(kubeconfig: Path | None) -> Any:
    """Where the server is, and who asks. Raises Refused."""
    if kubeconfig is not None and not await asyncio.to_thread(kubeconfig.is_file):
        raise Refused(f"{kubeconfig} is no kubeconfig: there is no such file")
    configuration: Any = Configuration()
    with _said_of(kubeconfig):
        if kubeconfig is None:
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    configuration.connection_pool_maxsize = 0  # attached streams and watches hold theirs for long
    return configuration


@contextmanager
def _said_of(kubeconfig: Path | None) -> Generator[None]:
    """What the client finds wrong with it becomes Refused, in one sentence."""
    try:
        yield
    except ssl.SSLError as error:
        raise Refused(f"the certificates in {kubeconfig} cannot be read: {error.reason or error}") from error
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        where = "this process does not run in a pod" if kubeconfig is None else f"{kubeconfig} is no kubeconfig"
        told = isinstance(error, ConfigException | OSError)  # others speak of the client's own code
        raise Refused(f"{where}: {error if told else 'it names no cluster, user and context'}") from error
