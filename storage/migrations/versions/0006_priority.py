"""Campaigns have a priority; chunks keep what they took of the actors, and how often a lease of theirs ended."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; what was done before took nobody knows what of the actors."""
    op.add_column("campaign", sa.Column("priority", sa.BigInteger(), nullable=False, server_default="10"))
    op.add_column("chunk", sa.Column("expiries", sa.BigInteger(), nullable=False, server_default="0"))
    for name in ("device_seconds", "idle_seconds"):
        op.add_column("chunk", sa.Column(name, sa.Double(), nullable=True))
    for name in ("batches", "batch_items"):
        op.add_column("chunk", sa.Column(name, sa.BigInteger(), nullable=True))
