"""HTTP requests that AWS answers: signed (SigV4) with whatever credentials this process finds around it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from awscrt import auth, exceptions, http  # pyright: ignore[reportMissingTypeStubs]

_sign = cast("Any", auth.aws_sign_request)  # pyright: ignore[reportUnknownMemberType] - awscrt has no types
CONNECT_SECONDS = 3.0
ATTEMPTS = 2
"""A connection that was kept open may be dead by now, which only its next request finds out."""


class AwsUnavailable(Exception):
    """No answer, or no credentials to ask with. Its text has no secret in it."""


class SignedHttp:
    """Posts to one service of one region. Redirects are not followed: they would take the signature along."""

    def __init__(self, client: httpx.AsyncClient, region: str, service: str) -> None:
        self._client, self._region, self._service = client, region, service
        self._credentials: Any = auth.AwsCredentialsProvider.new_default_chain()  # pyright: ignore[reportUnknownMemberType] - awscrt has no types

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, within: float, method: str = "POST"
    ) -> httpx.Response:
        """The answer, whatever its status, within so many seconds for each attempt. Raises AwsUnavailable."""
        for attempt in range(1, ATTEMPTS + 1):
            signed = await self._signed(method, url, body, headers)
            try:
                patience = httpx.Timeout(within, connect=CONNECT_SECONDS)
                return await self._client.request(method, url, content=body, headers=signed, timeout=patience)
            except httpx.TimeoutException as error:
                raise AwsUnavailable(f"{self._service} does not answer in time") from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if attempt == ATTEMPTS:
                    raise AwsUnavailable(f"{self._service} cannot be reached: {type(error).__name__}") from error
        raise AssertionError("every attempt returns or raises")

    async def _signed(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        parts = urlsplit(url)
        named = [("Host", parts.netloc), ("Content-Length", str(len(body))), *headers.items()]
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = http.HttpRequest(method, path, http.HttpHeaders(named), io.BytesIO(body))
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=self._credentials,
            region=self._region,
            service=self._service,
        )
        try:
            signed: Any = await asyncio.wrap_future(_sign(request, config))
        except exceptions.AwsCrtError as error:
            raise AwsUnavailable(f"no credentials of AWS were found ({error.name})") from error
        return list(signed.headers)


@asynccontextmanager
async def signing(region: str, service: str) -> AsyncGenerator[SignedHttp]:
    """Requests to a service, until the context is left."""
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False) as client:
        yield SignedHttp(client, region, service)
