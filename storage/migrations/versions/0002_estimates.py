"""Explanations say who their players are and, where they are estimates, from how much and how well."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns; explanations that stand are exact, and their players are elements."""
    op.add_column("explanation", sa.Column("players", TEXT, nullable=False, server_default="elements"))
    op.add_column("explanation", sa.Column("budget", sa.BigInteger(), nullable=True))
    op.add_column("explanation", sa.Column("errors", sa.JSON(), nullable=True))
