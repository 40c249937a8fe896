"""How much one API key may ask: requests per time, and streams held open and bodies held in memory at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

import structlog
from limits import parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from api.problems import too_many

BUSY_SECONDS = 10
"""What a client with too many streams is asked to wait."""
HELD_BYTES = 64 * 1024 * 1024
"""Of the bodies of one key's requests under way: 200 of the largest scripts at once, and not all memory there is."""

log = structlog.get_logger()


class RateLimits:
    """Counts requests of each key in a sliding window."""

    def __init__(self, rate: str, storage: str) -> None:
        self._rate = parse(rate)
        self._limiter = SlidingWindowCounterRateLimiter(storage_from_string(storage, wrap_exceptions=True))  # pyright: ignore[reportArgumentType] - an async+ URL makes an async storage

    async def spend(self, key_id: str) -> None:
        """Count one request. Raises Problem 429 where it is one too many."""
        try:
            allowed = await self._limiter.hit(self._rate, key_id)
            if allowed:
                return
            window = await self._limiter.get_window_stats(self._rate, key_id)
        except StorageError:  # the shared counter is away: keys, tenants and queues still hold; do not refuse everybody
            log.warning("rate_limit_storage_away")
            return
        wait = math.ceil(window.reset_time - time.time())
        raise too_many(f"This key may ask {self._rate}.", wait)


class StreamSlots:
    """Counts the open streams of each key in this process."""

    def __init__(self, per_key: int) -> None:
        self._per_key = per_key
        self._open = Counter[str]()

    @contextmanager
    def taken(self, key_id: str) -> Generator[None]:
        """Hold one. Raises Problem 429 where all are taken."""
        if self._open[key_id] >= self._per_key:
            raise too_many(f"This key holds {self._per_key} streams open.", BUSY_SECONDS, "too_many_streams")
        self._open[key_id] += 1
        try:
            yield
        finally:
            self._open[key_id] -= 1
            if not self._open[key_id]:
                del self._open[key_id]


class BodyRoom:
    """Counts the bytes that each key's requests under way hold in this process."""

    def __init__(self, per_key: int = HELD_BYTES) -> None:
        self._per_key = per_key
        self._held = Counter[str]()

    @contextmanager
    def taken(self, key_id: str, size: int) -> Generator[None]:
        """Hold a body of so many bytes. Raises Problem 429 where others of the key leave no room for it."""
        if self._held[key_id] + size > self._per_key:
            raise too_many(f"Requests of this key hold {self._per_key} bytes.", 1, "too_many_bytes")
        self._held[key_id] += size
        try:
            yield
        finally:
            self._held[key_id] -= size
            if not self._held[key_id]:
                del self._held[key_id]
