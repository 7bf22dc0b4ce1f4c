"""Candidates bear their chemical system, which tells quickly who holds only certain elements."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
JOINED = {
    "sqlite": "SELECT group_concat(element, '-') FROM (SELECT element FROM candidate_element"
    " WHERE candidate_id = candidate.id ORDER BY element)",
    "postgresql": "SELECT string_agg(element, '-' ORDER BY element) FROM candidate_element"
    " WHERE candidate_id = candidate.id",
}


def upgrade() -> None:
    """Add the column, fill it from the elements, and index it in place of these: one entry for each candidate."""
    op.add_column("candidate", sa.Column("chemical_system", TEXT, nullable=True))
    op.execute(f"UPDATE candidate SET chemical_system = ({JOINED[op.get_bind().dialect.name]})")
    op.create_index("ix_candidate_chemical_system", "candidate", ["chemical_system"])
    op.drop_index("ix_candidate_element_candidate_id", "candidate_element")
