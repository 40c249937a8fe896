"""The first tables: evaluations, journal, blobs, executions, idempotency, api_keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _evaluations()
    _journal()
    _blobs_and_executions()
    _idempotency_and_keys()


def downgrade() -> None:
    for table in ("api_keys", "idempotency", "executions", "blobs", "journal", "evaluations"):
        op.drop_table(table)


def _evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("evaluation_id", sa.String(31), nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("stage", sa.String(40)),
        sa.Column("verdict", sa.String(40)),
        sa.Column("outcome", sa.String(40)),
        sa.Column("model_id", sa.String(100), nullable=False),
        sa.Column("script_sha256", sa.String(64), nullable=False),
        sa.Column("script_size", sa.Integer, nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("workflow_started_at", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("receipt_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("findings_digest", sa.String(64), nullable=False),
        sa.Column("cause", sa.Text),
        sa.Column("report", sa.Text),
        sa.Column("result_sha256", sa.String(64)),
        sa.Column("retry_of", sa.String(31)),
        sa.Column("stop", sa.Text),
        sa.Column("last_seq", sa.Integer, nullable=False),
        sa.Column("journal_bytes", sa.BigInteger, nullable=False),
        sa.Column("journal_full", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("evaluation_id", name="pk_evaluations"),
    )
    for name, columns in {
        "page": ["tenant", "queued_at", "evaluation_id"],
        "page_of_status": ["tenant", "status", "queued_at", "evaluation_id"],
        "queue": ["status", "queued_at", "evaluation_id"],
        "script": ["tenant", "script_sha256"],
        "result": ["tenant", "result_sha256"],
    }.items():
        op.create_index(f"ix_evaluations_{name}", "evaluations", columns)


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("evaluation_id", sa.String(31), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("run", sa.String(80), nullable=False),
        sa.Column("frame", sa.BigInteger),
        sa.Column("stage", sa.String(40)),
        sa.Column("payload", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("evaluation_id", "seq", name="pk_journal"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.evaluation_id"], name="fk_journal_evaluation_id"),
        sa.UniqueConstraint("evaluation_id", "run", "frame", name="uq_journal_frame"),
    )


def _blobs_and_executions() -> None:
    op.create_table(
        "blobs",
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "sha256", name="pk_blobs"),
    )
    op.create_table(
        "executions",
        sa.Column("evaluation_id", sa.String(31), nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("evaluation_id", name="pk_executions"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.evaluation_id"], name="fk_executions_evaluation_id"),
    )


def _idempotency_and_keys() -> None:
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("evaluation_id", sa.String(31), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["tenant", "expires_at"])
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("models", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_sha256", name="uq_api_keys_secret_sha256"),
    )
    op.create_index("ix_api_keys_tenant", "api_keys", ["tenant"])
