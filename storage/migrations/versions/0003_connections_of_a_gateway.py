"""The connections that an API gateway holds for us, and what each of them watches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("connection_id", sa.String(128), nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pusher", sa.String(200)),
        sa.Column("pushed_until", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("connection_id", name="pk_connections"),
    )
    op.create_index("ix_connections_key", "connections", ["key_id", "expires_at"])
    op.create_table(
        "subscriptions",
        sa.Column("connection_id", sa.String(128), nullable=False),
        sa.Column("evaluation_id", sa.String(31), nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "evaluation_id", name="pk_subscriptions"),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.connection_id"],
            name="fk_subscriptions_connection_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.evaluation_id"], name="fk_subscriptions_evaluation_id"
        ),
    )


def downgrade() -> None:
    op.drop_table("subscriptions")
    op.drop_table("connections")
