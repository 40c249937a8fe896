"""An index by which retention finds what has ended long ago."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_evaluations_ended", "evaluations", ["deleted_at", "ended_at"])


def downgrade() -> None:
    op.drop_index("ix_evaluations_ended", "evaluations")
