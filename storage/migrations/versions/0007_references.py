"""Reference structures with their energies, which campaigns compare with them, and what that says of candidates."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables and add the columns; candidates of before were compared with nothing."""
    _sets()
    _references()
    op.create_table(
        "campaign_reference",
        sa.Column("campaign_id", ROW_ID, nullable=False),
        sa.Column("set_id", ROW_ID, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name="fk_campaign_reference_campaign_id"),
        sa.ForeignKeyConstraint(["set_id"], ["reference_set.id"], name="fk_campaign_reference_set_id"),
        sa.PrimaryKeyConstraint("campaign_id", "set_id", name="pk_campaign_reference"),
    )
    for name in ("known_composition", "known_structure", "hull_references"):
        op.add_column("candidate", sa.Column(name, TEXT, nullable=True))


def _sets() -> None:
    op.create_table(
        "reference_set",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("level", TEXT, nullable=False),
        sa.Column("origin", sa.JSON(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("scale", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_reference_set"),
        sa.UniqueConstraint("name", name="uq_reference_set_name"),
    )


def _references() -> None:
    op.create_table(
        "reference",
        sa.Column("set_id", ROW_ID, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("formula", TEXT, nullable=False),
        sa.Column("chemical_system", TEXT, nullable=False),
        sa.Column("energy_per_atom", sa.Double(), nullable=True),
        sa.Column("crystal", sa.JSON(), nullable=False),
        sa.Column("nsites", sa.Integer(), nullable=False),
        sa.Column("volume_per_atom", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["set_id"], ["reference_set.id"], name="fk_reference_set_id"),
        sa.PrimaryKeyConstraint("set_id", "source_id", name="pk_reference"),
    )
    op.create_index("ix_reference_formula", "reference", ["formula"])
    op.create_index("ix_reference_set_id_chemical_system", "reference", ["set_id", "chemical_system"])
