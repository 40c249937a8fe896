"""The tables. `tenant` is in every row; each value of the domain is one column that holds its JSON."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from domain.evaluation import Cause, EffectiveConfig, StopOrder
from domain.findings import Finding, Verdict
from domain.journal import EntryKind
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome
from domain.policy import Policy
from storage.columns import Document, Moment, Word
from storage.records import StoredReport

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("evaluation_id", String(31), primary_key=True),
    Column("tenant", String(100), nullable=False),
    Column("status", Word(Status), nullable=False),
    Column("stage", Word(Stage)),
    Column("verdict", Word(Verdict)),
    Column("outcome", Word(RunOutcome)),
    Column("model_id", String(100), nullable=False),
    Column("script_sha256", String(64), nullable=False),
    Column("script_size", Integer, nullable=False),
    Column("config", Document[EffectiveConfig](EffectiveConfig), nullable=False),
    Column("policy", Document[Policy](Policy), nullable=False),
    Column("queued_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("workflow_started_at", Moment),
    Column("started_at", Moment),
    Column("receipt_at", Moment),  # set where a receipt was journaled before any stop
    Column("ended_at", Moment),
    Column("deleted_at", Moment),
    Column("findings", Document[tuple[Finding, ...]](tuple[Finding, ...]), nullable=False),
    Column("findings_digest", String(64), nullable=False),
    Column("cause", Document[Cause](Cause)),
    Column("report", Document[StoredReport](StoredReport)),
    Column("result_sha256", String(64)),  # set where the result is a blob
    Column("retry_of", String(31)),
    Column("stop", Document[StopOrder](StopOrder)),
    Column("last_seq", Integer, nullable=False),
    Column("journal_bytes", BigInteger, nullable=False),
    Column("journal_full", Boolean, nullable=False),
    Index("ix_evaluations_page", "tenant", "queued_at", "evaluation_id"),
    Index("ix_evaluations_page_of_status", "tenant", "status", "queued_at", "evaluation_id"),
    Index("ix_evaluations_queue", "status", "queued_at", "evaluation_id"),
    Index("ix_evaluations_ended", "deleted_at", "ended_at"),
    Index("ix_evaluations_script", "tenant", "script_sha256"),
    Index("ix_evaluations_result", "tenant", "result_sha256"),
)

journal = Table(
    "journal",
    metadata,
    Column("evaluation_id", String(31), ForeignKey("evaluations.evaluation_id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("tenant", String(100), nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", Word(EntryKind), nullable=False),
    Column("run", String(80), nullable=False),
    Column("frame", BigInteger),
    Column("stage", Word(Stage)),
    Column("payload", Text, nullable=False),
    UniqueConstraint("evaluation_id", "run", "frame", name="uq_journal_frame"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    Column("evaluation_id", String(31), ForeignKey("evaluations.evaluation_id"), primary_key=True),
    Column("tenant", String(100), nullable=False),
    Column("run_id", String(80), nullable=False),
    Column("worker", String(200), nullable=False),
    Column("begun_at", Moment, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("evaluation_id", String(31), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("ix_idempotency_expires_at", "tenant", "expires_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(40), primary_key=True),
    Column("tenant", String(100), nullable=False),
    Column("label", String(200), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("scopes", Text, nullable=False),  # words with spaces between
    Column("models", Document[tuple[str, ...]](tuple[str, ...])),  # null: every model
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    UniqueConstraint("secret_sha256"),
    Index("ix_api_keys_tenant", "tenant"),
)

connections = Table(
    "connections",
    metadata,
    Column("connection_id", String(128), primary_key=True),  # named by the gateway that holds it
    Column("tenant", String(100), nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("pusher", String(200)),  # who pushes to it, and until when nobody else does
    Column("pushed_until", Moment),
    Index("ix_connections_key", "key_id", "expires_at"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("connection_id", String(128), ForeignKey("connections.connection_id", ondelete="CASCADE"), primary_key=True),
    Column("evaluation_id", String(31), ForeignKey("evaluations.evaluation_id"), primary_key=True),
    Column("tenant", String(100), nullable=False),
    Column("place", Integer, nullable=False),  # the last entry of its journal that was told
)
