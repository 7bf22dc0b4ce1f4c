"""The tables: what is kept, and under which natural keys."""

from typing import Annotated, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.states import PRIORITY
from workers.properties import column_names

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Formulas sort by bytes on every database: a PostgreSQL locale would otherwise decide who is among the first N.
TEXT = String().with_variant(String(collation="C"), "postgresql")
# SQLite numbers rows itself only in a column spelled INTEGER; PostgreSQL needs 64 bits.
ROW_ID = BigInteger().with_variant(Integer(), "sqlite")

RowId = Annotated[int, mapped_column(ROW_ID, primary_key=True, autoincrement=True)]
CampaignKey = Annotated[int, mapped_column(ROW_ID, ForeignKey("campaign.id"), primary_key=True)]
CandidateKey = Annotated[int, mapped_column(ROW_ID, ForeignKey("candidate.id"), primary_key=True)]
CampaignLink = Annotated[int, mapped_column(ROW_ID, ForeignKey("campaign.id"))]
CandidateLink = Annotated[int, mapped_column(ROW_ID, ForeignKey("candidate.id"))]
ChunkLink = Annotated[int | None, mapped_column(ROW_ID, ForeignKey("chunk.id"))]
Text = Annotated[str, mapped_column(TEXT)]
TextKey = Annotated[str, mapped_column(TEXT, primary_key=True)]
OptionalText = Annotated[str | None, mapped_column(TEXT)]
Count = Annotated[int, mapped_column(BigInteger, default=0)]
OptionalCount = Annotated[int | None, mapped_column(BigInteger)]
Flag = Annotated[bool, mapped_column(default=False)]
Number = Annotated[float, mapped_column(Double)]
Real = Annotated[float | None, mapped_column(Double)]
Json = Annotated[Any, mapped_column(JSON)]
# SQL NULL, not the JSON text "null", where there is nothing.
OptionalJson = Annotated[Any, mapped_column(JSON(none_as_null=True), nullable=True)]


class Table(DeclarativeBase):
    """The root of all tables."""

    metadata = MetaData(naming_convention=NAMING)


class CampaignTable(Table):
    """Screenings; times are unix seconds."""

    __tablename__ = "campaign"

    id: Mapped[RowId]
    name: Mapped[Text]
    spec: Mapped[Json]
    seed: Mapped[Count]
    code_version: Mapped[Text]
    state: Mapped[Text]
    created_at: Mapped[Number]
    finished_at: Mapped[Real]
    priority: Mapped[int] = mapped_column(BigInteger, default=PRIORITY)


class StageTable(Table):
    """The stages of a campaign; the cursor counts the inputs that have been cut into chunks."""

    __tablename__ = "stage"

    campaign_id: Mapped[CampaignKey]
    name: Mapped[TextKey]
    ordinal: Mapped[int]
    cursor: Mapped[Count]
    cursor_formula: Mapped[OptionalText]
    source_size: Mapped[OptionalCount]
    exhausted: Mapped[Flag]
    closed: Mapped[Flag]


class SliceTable(Table):
    """Slices of a source file, its formulas compressed."""

    __tablename__ = "source_slice"

    campaign_id: Mapped[CampaignKey]
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stop: Mapped[Count]
    invalid: Mapped[Count]
    duplicate: Mapped[Count]
    formulas: Mapped[bytes] = mapped_column(LargeBinary)


class ChunkTable(Table):
    """Units of work: a range of the source or a list of formulas; times are unix seconds."""

    __tablename__ = "chunk"
    __table_args__ = (
        ForeignKeyConstraint(["campaign_id", "stage"], ["stage.campaign_id", "stage.name"]),
        Index(None, "campaign_id", "stage", "state", "ordinal"),
        Index(None, "campaign_id", "stage", "drained", "state"),
        Index(None, "state"),
    )

    id: Mapped[RowId]
    campaign_id: Mapped[int] = mapped_column(ROW_ID)
    stage: Mapped[Text]
    ordinal: Mapped[Count]
    parent_id: Mapped[ChunkLink]
    start: Mapped[OptionalCount]
    stop: Mapped[OptionalCount]
    formulas: Mapped[OptionalJson]
    size: Mapped[Count]
    state: Mapped[Text]
    attempt: Mapped[Count]
    errors: Mapped[Count]
    crashes: Mapped[Count]
    alone: Mapped[Flag]
    drained: Mapped[Flag]
    worker_id: Mapped[OptionalText]
    reason: Mapped[OptionalText]
    resend_at: Mapped[Real]
    input: Mapped[Count]
    survived: Mapped[Count]
    rejected: Mapped[Count]
    duplicate: Mapped[Count]
    invalid: Mapped[Count]
    failed: Mapped[Count]
    digest: Mapped[OptionalText]
    queued_at: Mapped[Real]
    started_at: Mapped[Real]
    done_at: Mapped[Real]
    load_seconds: Mapped[Real]
    compute_seconds: Mapped[Real]
    record_seconds: Mapped[Real]
    expiries: Mapped[Count]
    device_seconds: Mapped[Real]
    idle_seconds: Mapped[Real]
    batches: Mapped[OptionalCount]
    batch_items: Mapped[OptionalCount]


class CandidateTable(Table):
    """Compositions that passed the predict stage; each property beside its standard deviation."""

    __tablename__ = "candidate"
    __table_args__ = (UniqueConstraint("campaign_id", "formula"),)

    id: Mapped[RowId]
    campaign_id: Mapped[CampaignLink]
    chunk_id: Mapped[ChunkLink] = mapped_column(index=True)
    formula: Mapped[Text] = mapped_column(index=True)
    chemical_formula_reduced: Mapped[OptionalText]
    chemical_formula_anonymous: Mapped[OptionalText] = mapped_column(index=True)
    chemical_system: Mapped[OptionalText] = mapped_column(index=True)  # Cs-I-Pb
    nelements: Mapped[int]
    survived: Mapped[Count]  # ordinal of the last stage that it passed
    surplus: Mapped[Flag]
    score: Mapped[Real] = mapped_column(index=True)
    verdict: Mapped[OptionalText]
    reason: Mapped[OptionalText]
    space_group: Mapped[int | None] = mapped_column(index=True)
    band_gap: Mapped[Real]
    band_gap_std: Mapped[Real]
    formation_energy_per_atom: Mapped[Real]
    formation_energy_per_atom_std: Mapped[Real]
    e_above_hull: Mapped[Real]
    e_above_hull_std: Mapped[Real]
    density: Mapped[Real]
    density_std: Mapped[Real]
    bulk_modulus: Mapped[Real]
    bulk_modulus_std: Mapped[Real]
    magnetization_density: Mapped[Real]
    magnetization_density_std: Mapped[Real]
    structure_band_gap: Mapped[Real]
    structure_band_gap_std: Mapped[Real]
    structure_formation_energy_per_atom: Mapped[Real]
    structure_formation_energy_per_atom_std: Mapped[Real]
    structure_e_above_hull: Mapped[Real]
    structure_e_above_hull_std: Mapped[Real]
    structure_density: Mapped[Real]
    structure_density_std: Mapped[Real]
    structure_bulk_modulus: Mapped[Real]
    structure_bulk_modulus_std: Mapped[Real]
    structure_magnetization_density: Mapped[Real]
    structure_magnetization_density_std: Mapped[Real]
    known_composition: Mapped[OptionalText]  # these three: a set of references, or that it holds none such
    known_structure: Mapped[OptionalText]
    hull_references: Mapped[OptionalText]


# Without the unknown values: most candidates have no structure, and writing costs a step for each index.
for _name in (*column_names(), "verdict"):
    _known = CandidateTable.__table__.c[_name].is_not(None)
    Index(f"ix_candidate_{_name}", CandidateTable.__table__.c[_name], sqlite_where=_known, postgresql_where=_known)
# Best first, as the members of a stage are taken.
Index("ix_candidate_best", CandidateTable.campaign_id, CandidateTable.score.desc(), CandidateTable.formula)


class ElementTable(Table):
    """Which elements a candidate holds."""

    __tablename__ = "candidate_element"

    element: Mapped[TextKey]
    candidate_id: Mapped[CandidateKey]


class PropertyTable(Table):
    """Predictions of properties that users added."""

    __tablename__ = "candidate_property"
    __table_args__ = (Index(None, "property", "value"),)

    candidate_id: Mapped[CandidateKey]
    property: Mapped[TextKey]
    value: Mapped[Number]
    std: Mapped[Real]


class StructureTable(Table):
    """Crystals of a candidate, best first; energies in eV/atom."""

    __tablename__ = "structure"
    __table_args__ = (UniqueConstraint("candidate_id", "rank"),)

    id: Mapped[RowId]
    candidate_id: Mapped[CandidateLink]
    rank: Mapped[int]
    sample: Mapped[int]
    copies: Mapped[int]
    crystal: Mapped[Json]
    space_group: Mapped[int | None]
    nsites: Mapped[int]
    log_likelihood: Mapped[Real]
    energy_per_atom: Mapped[Real]
    relaxed: Mapped[Flag]
    flaw: Mapped[OptionalText]


class ExplanationTable(Table):
    """Why a model predicts a value: the baseline and what sets of players add to it; an estimate also has a budget of
    coalitions, and one standard error for each set."""

    __tablename__ = "explanation"

    candidate_id: Mapped[CandidateKey]
    property: Mapped[TextKey]
    index: Mapped[TextKey]
    order: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    baseline: Mapped[Number]
    value: Mapped[Number]
    interactions: Mapped[Json]
    players: Mapped[Text]
    budget: Mapped[OptionalCount]
    errors: Mapped[OptionalJson]


class FailureTable(Table):
    """Inputs that gave no result, and why."""

    __tablename__ = "failure"
    __table_args__ = (UniqueConstraint("campaign_id", "stage", "kind", "formula", "place"),)

    id: Mapped[RowId]
    campaign_id: Mapped[CampaignLink]
    stage: Mapped[Text]
    kind: Mapped[Text]
    formula: Mapped[Text]
    place: Mapped[Text]
    reason: Mapped[Text]
    chunk_id: Mapped[ChunkLink]


class ModelTable(Table):
    """Models by the sha256 of their weights."""

    __tablename__ = "model"

    id: Mapped[TextKey]
    name: Mapped[Text]
    card: Mapped[Json]


class WeightsTable(Table):
    """Models that users train or bring, by the sha256 of their weights; nameless once another took its name."""

    __tablename__ = "weights"

    sha256: Mapped[TextKey]
    name: Mapped[OptionalText] = mapped_column(unique=True)
    card: Mapped[Json]


class WeightsPartTable(Table):
    """The bytes of a weights file, in parts that a database takes."""

    __tablename__ = "weights_part"

    sha256: Mapped[str] = mapped_column(TEXT, ForeignKey("weights.sha256"), primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class CampaignModelTable(Table):
    """Which model a campaign uses in which role."""

    __tablename__ = "campaign_model"

    campaign_id: Mapped[CampaignKey]
    role: Mapped[TextKey]
    model_id: Mapped[str] = mapped_column(TEXT, ForeignKey("model.id"))


class ReferenceSetTable(Table):
    """Reference structures of one origin and one level of theory; nameless until all have come, and once another took
    its name. The cursor counts what has been read of `total`; times are unix seconds."""

    __tablename__ = "reference_set"

    id: Mapped[RowId]
    name: Mapped[OptionalText] = mapped_column(unique=True)
    title: Mapped[Text]
    level: Mapped[Text]
    origin: Mapped[Json]
    cursor: Mapped[Count]
    total: Mapped[OptionalCount]
    entries: Mapped[Count]
    digest: Mapped[Text]
    scale: Mapped[OptionalJson]
    created_at: Mapped[Number]
    finished_at: Mapped[Real]


class ReferenceTable(Table):
    """Known structures, by the id that their set gives them; energies in eV/atom, as the set has them."""

    __tablename__ = "reference"
    __table_args__ = (Index(None, "formula"), Index(None, "set_id", "chemical_system"))

    set_id: Mapped[int] = mapped_column(ROW_ID, ForeignKey("reference_set.id"), primary_key=True)
    source_id: Mapped[TextKey]
    formula: Mapped[Text]
    chemical_system: Mapped[Text]
    energy_per_atom: Mapped[Real]
    crystal: Mapped[Json]
    nsites: Mapped[int]
    volume_per_atom: Mapped[Number]


class CampaignReferenceTable(Table):
    """Which sets of references a campaign compares with, in their order."""

    __tablename__ = "campaign_reference"

    campaign_id: Mapped[CampaignKey]
    set_id: Mapped[int] = mapped_column(ROW_ID, ForeignKey("reference_set.id"), primary_key=True)
    place: Mapped[int]


class TokenTable(Table):
    """Tokens by the sha256 of their secret; times are unix seconds."""

    __tablename__ = "token"

    id: Mapped[RowId]
    name: Mapped[Text]
    role: Mapped[Text]
    digest: Mapped[Text] = mapped_column(unique=True)
    created_at: Mapped[Number]
    expires_at: Mapped[Real]
    revoked_at: Mapped[Real]


class IdempotencyTable(Table):
    """Keys that clients gave to their requests, each with the campaign that the first of them made."""

    __tablename__ = "idempotency_key"

    owner: Mapped[TextKey]
    key: Mapped[TextKey]
    digest: Mapped[Text]
    campaign_id: Mapped[CampaignLink]


class WorkerTable(Table):
    """Worker processes, one id for each start of a process."""

    __tablename__ = "worker"

    id: Mapped[TextKey]
    started_at: Mapped[Number]
    counter: Mapped[Count]
    in_hand: Mapped[Json]
    queues: Mapped[Json]
    supervised: Mapped[Flag]
    exited: Mapped[OptionalText]


class LeaderTable(Table):
    """The one row that says who leads."""

    __tablename__ = "leader"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[Count]
    holder: Mapped[Text]
    counter: Mapped[Count]
