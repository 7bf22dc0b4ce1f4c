"""Weights of the models that users train or bring, by hash."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "weights",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_weights"),
        sa.UniqueConstraint("name", name="uq_weights_name"),
    )
    op.create_table(
        "weights_part",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["weights.sha256"], name="fk_weights_part_sha256"),
        sa.PrimaryKeyConstraint("sha256", "part", name="pk_weights_part"),
    )
