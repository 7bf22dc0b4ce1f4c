"""Candidates bear OPTIMADE's spellings of their formula; lists of all campaigns by score and verdict are quick."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from workers.spellings import spellings

revision = "0005"
down_revision = "0004"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
NAMES = ("chemical_formula_reduced", "chemical_formula_anonymous")
CANDIDATE = sa.table("candidate", sa.column("id"), sa.column("formula"), *(sa.column(name) for name in NAMES))
BATCH = 10_000


def upgrade() -> None:
    """Add the columns, spell what stands, then index it."""
    for name in NAMES:
        op.add_column("candidate", sa.Column(name, TEXT, nullable=True))
    connection = op.get_bind()
    write = sa.update(CANDIDATE).where(CANDIDATE.c.id == sa.bindparam("_id"))
    write = write.values({name: sa.bindparam(f"_{name}") for name in NAMES})
    for rows in _batches(connection):
        spelled = ((key, spellings(formula)) for key, formula in rows)
        connection.execute(
            write, [{"_id": key, f"_{NAMES[0]}": two[0], f"_{NAMES[1]}": two[1]} for key, two in spelled]
        )
    op.create_index("ix_candidate_chemical_formula_anonymous", "candidate", ["chemical_formula_anonymous"])
    op.create_index("ix_candidate_score", "candidate", ["score"])
    judged = sa.text("verdict IS NOT NULL")
    op.create_index("ix_candidate_verdict", "candidate", ["verdict"], sqlite_where=judged, postgresql_where=judged)


def _batches(connection: sa.Connection) -> Iterator[list[tuple[int, str]]]:
    last = 0
    statement = sa.select(CANDIDATE.c.id, CANDIDATE.c.formula).order_by(CANDIDATE.c.id).limit(BATCH)
    while rows := [(row.id, row.formula) for row in connection.execute(statement.where(CANDIDATE.c.id > last))]:
        yield rows
        last = rows[-1][0]
