"""What an operator can set of the API where it is a function of AWS Lambda: as elsewhere, and a little more."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from api.settings import ApiSettings


class ServerlessSettings(ApiSettings):
    """Everything the function is told from outside. What a function cannot keep or wait for does not validate."""

    longest_wait_seconds: float = Field(
        default=15.0,
        ge=0,
        le=20,
        description="What `?wait=` is cut to. All else included, API Gateway gives up after 29 s.",
    )
    queue_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="The queue (SQS) that accepted evaluations are put into, for the role intake. None: the function "
        "starts their workflows itself, and has to reach Temporal.",
    )
    websocket_url: str | None = Field(
        default=None,
        pattern=r"^wss?://",
        description="Where clients find the WebSocket API: told to whoever asks for a stream.",
    )

    @model_validator(mode="after")
    def _nothing_is_kept_in_a_function(self) -> Self:
        try:
            is_file = make_url(self.database_url).get_backend_name() == "sqlite"
        except ArgumentError:
            is_file = False  # told when it is opened
        if is_file:
            raise ValueError(
                "AIRLOCK_DATABASE_URL names a file, and a function's disk is forgotten with it: name a Postgres"
            )
        if self.queue_url and not self.aws_region:
            raise ValueError("AIRLOCK_QUEUE_URL needs AIRLOCK_AWS_REGION")
        return self
