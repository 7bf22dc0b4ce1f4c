"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PROPERTIES = (
    "band_gap",
    "formation_energy_per_atom",
    "e_above_hull",
    "density",
    "bulk_modulus",
    "magnetization_density",
)
VALUES = (*PROPERTIES, *(f"structure_{name}" for name in PROPERTIES))

Column = sa.Column[object]


def upgrade() -> None:
    """Make all tables."""
    _campaigns()
    _models()
    _stages()
    _chunks()
    _candidates()
    _candidate_details()
    _structures()
    _explanations()
    _failures()
    _processes()


def _campaigns() -> None:
    op.create_table(
        "campaign",
        *(_row_id("id", autoincrement=True), _text("name"), _json("spec"), _count("seed"), _text("code_version")),
        *(_text("state"), _number("created_at"), _number("finished_at", nullable=True)),
        _primary("campaign", "id"),
    )


def _models() -> None:
    op.create_table("model", _text("id"), _text("name"), _json("card"), _primary("model", "id"))
    op.create_table(
        "campaign_model",
        *(_row_id("campaign_id"), _text("role"), _text("model_id")),
        _foreign("campaign_model", "campaign_id", "campaign.id"),
        _foreign("campaign_model", "model_id", "model.id"),
        _primary("campaign_model", "campaign_id", "role"),
    )


def _stages() -> None:
    op.create_table(
        "stage",
        *(_row_id("campaign_id"), _text("name"), _integer("ordinal"), _count("cursor")),
        *(_text("cursor_formula", nullable=True), _count("source_size", nullable=True)),
        *(_flag("exhausted"), _flag("closed")),
        _foreign("stage", "campaign_id", "campaign.id"),
        _primary("stage", "campaign_id", "name"),
    )
    op.create_table(
        "source_slice",
        *(_row_id("campaign_id"), sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False)),
        *(_count("stop"), _count("invalid"), _count("duplicate")),
        sa.Column("formulas", sa.LargeBinary(), nullable=False),
        _foreign("source_slice", "campaign_id", "campaign.id"),
        _primary("source_slice", "campaign_id", "start"),
    )


def _chunks() -> None:
    counts = ("input", "survived", "rejected", "duplicate", "invalid", "failed")
    times = ("queued_at", "started_at", "done_at", "load_seconds", "compute_seconds", "record_seconds")
    op.create_table(
        "chunk",
        *(_row_id("id", autoincrement=True), _row_id("campaign_id"), _text("stage"), _count("ordinal")),
        *(_row_id("parent_id", nullable=True), _count("start", nullable=True), _count("stop", nullable=True)),
        *(_json("formulas", nullable=True), _count("size"), _text("state")),
        *(_count("attempt"), _count("errors"), _count("crashes"), _flag("alone"), _flag("drained")),
        *(_text("worker_id", nullable=True), _text("reason", nullable=True), _number("resend_at", nullable=True)),
        *(_count(name) for name in counts),
        _text("digest", nullable=True),
        *(_number(name, nullable=True) for name in times),
        sa.ForeignKeyConstraint(
            ["campaign_id", "stage"], ["stage.campaign_id", "stage.name"], name="fk_chunk_campaign_id_stage"
        ),
        _foreign("chunk", "parent_id", "chunk.id"),
        _primary("chunk", "id"),
    )
    _index("chunk", "campaign_id", "stage", "state", "ordinal")
    _index("chunk", "campaign_id", "stage", "drained", "state")
    _index("chunk", "state")


def _candidates() -> None:
    values = (_number(name + end, nullable=True) for name in VALUES for end in ("", "_std"))
    op.create_table(
        "candidate",
        *(_row_id("id", autoincrement=True), _row_id("campaign_id"), _row_id("chunk_id", nullable=True)),
        *(_text("formula"), _integer("nelements"), _count("survived"), _flag("surplus")),
        *(_number("score", nullable=True), _text("verdict", nullable=True), _text("reason", nullable=True)),
        sa.Column("space_group", sa.Integer(), nullable=True),
        *values,
        _foreign("candidate", "campaign_id", "campaign.id"),
        _foreign("candidate", "chunk_id", "chunk.id"),
        _primary("candidate", "id"),
        _unique("candidate", "campaign_id", "formula"),
    )
    for name in ("chunk_id", "formula", "space_group"):
        _index("candidate", name)
    for name in VALUES:
        known = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_candidate_{name}", "candidate", [name], sqlite_where=known, postgresql_where=known)
    op.create_index("ix_candidate_best", "candidate", ["campaign_id", sa.text("score DESC"), "formula"])


def _candidate_details() -> None:
    op.create_table(
        "candidate_element",
        *(_text("element"), _row_id("candidate_id")),
        _foreign("candidate_element", "candidate_id", "candidate.id"),
        _primary("candidate_element", "element", "candidate_id"),
    )
    _index("candidate_element", "candidate_id")
    op.create_table(
        "candidate_property",
        *(_row_id("candidate_id"), _text("property"), _number("value"), _number("std", nullable=True)),
        _foreign("candidate_property", "candidate_id", "candidate.id"),
        _primary("candidate_property", "candidate_id", "property"),
    )
    _index("candidate_property", "property", "value")


def _structures() -> None:
    op.create_table(
        "structure",
        *(_row_id("id", autoincrement=True), _row_id("candidate_id"), _integer("rank"), _integer("sample")),
        *(_integer("copies"), _json("crystal"), _integer("space_group", nullable=True), _integer("nsites")),
        *(_number("log_likelihood", nullable=True), _number("energy_per_atom", nullable=True)),
        *(_flag("relaxed"), _text("flaw", nullable=True)),
        _foreign("structure", "candidate_id", "candidate.id"),
        _primary("structure", "id"),
        _unique("structure", "candidate_id", "rank"),
    )


def _explanations() -> None:
    op.create_table(
        "explanation",
        *(_row_id("candidate_id"), _text("property"), _text("index"), _integer("order")),
        *(_number("baseline"), _number("value"), _json("interactions")),
        _foreign("explanation", "candidate_id", "candidate.id"),
        _primary("explanation", "candidate_id", "property", "index", "order"),
    )


def _failures() -> None:
    op.create_table(
        "failure",
        *(_row_id("id", autoincrement=True), _row_id("campaign_id"), _text("stage"), _text("kind")),
        *(_text("formula"), _text("place"), _text("reason"), _row_id("chunk_id", nullable=True)),
        _foreign("failure", "campaign_id", "campaign.id"),
        _foreign("failure", "chunk_id", "chunk.id"),
        _primary("failure", "id"),
        _unique("failure", "campaign_id", "stage", "kind", "formula", "place"),
    )


def _processes() -> None:
    op.create_table(
        "worker",
        *(_text("id"), _number("started_at"), _count("counter"), _json("in_hand"), _json("queues")),
        *(_flag("supervised"), _text("exited", nullable=True)),
        _primary("worker", "id"),
    )
    leader = op.create_table(
        "leader",
        *(_integer("id"), _count("epoch"), _text("holder"), _count("counter")),
        _primary("leader", "id"),
    )
    op.bulk_insert(leader, [{"id": 1, "epoch": 0, "holder": "", "counter": 0}])


def _row_id(name: str, nullable: bool = False, autoincrement: bool = False) -> Column:
    return sa.Column(name, ROW_ID, nullable=nullable, autoincrement=autoincrement)


def _text(name: str, nullable: bool = False) -> Column:
    return sa.Column(name, TEXT, nullable=nullable)


def _json(name: str, nullable: bool = False) -> Column:
    return sa.Column(name, sa.JSON(), nullable=nullable)


def _count(name: str, nullable: bool = False) -> Column:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _integer(name: str, nullable: bool = False) -> Column:
    return sa.Column(name, sa.Integer(), nullable=nullable, autoincrement=False)


def _number(name: str, nullable: bool = False) -> Column:
    return sa.Column(name, sa.Double(), nullable=nullable)


def _flag(name: str) -> Column:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
