"""Reference structures in named sets: filling a set, which sets a campaign compares with, and what they hold."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from storage.errors import NotFound, SetTaken
from storage.hashes import add_digests, digest_rows
from storage.rows import add_rows, batches, changed, known
from storage.tables import CampaignReferenceTable, CandidateTable, ReferenceSetTable, ReferenceTable
from workers.references import NEW, Reference, chemical_system, systems_within, volume_per_atom

EMPTY = "0" * 16


@dataclass(frozen=True, slots=True)
class NewSet:
    """A set to be filled: what it is called, at which level of theory its energies were computed, whence it comes."""

    title: str
    level: str
    origin: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """A set of references; the scale says how a model's energies compare with those of the set, by model id."""

    id: int
    name: str | None
    title: str
    level: str
    origin: dict[str, Any]
    cursor: int
    total: int | None
    entries: int
    digest: str
    scale: dict[str, Any] | None
    created_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class KnownCrystal:
    """A stored structure: the set's title and the source's id, its crystal and volume in Å³ an atom."""

    name: str
    crystal: dict[str, Any]
    volume_per_atom: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What comparing says of a candidate: the known structure that its best one is, and whose hull it was put on."""

    formula: str
    known_structure: str | None
    hull_references: str | None


COLUMNS = tuple(getattr(ReferenceSetTable, name) for name in ReferenceSet.__slots__)


def begin_set(session: Session, new: NewSet, now: float, resume: bool = False) -> ReferenceSet:
    """An unfinished set of this title: the one that was begun with the same origin, where it is to be resumed, else a
    new one; what other unfinished ones of the title hold is dropped."""
    unfinished = (ReferenceSetTable.title == new.title, ReferenceSetTable.finished_at.is_(None))
    found = _sets(session, select(*COLUMNS).where(*unfinished).order_by(ReferenceSetTable.id))
    for old in found:
        if resume and (old.origin, old.level) == (dict(new.origin), new.level):
            return old
        drop_set(session, old.id)
    values = {"title": new.title, "level": new.level, "origin": dict(new.origin), "created_at": now}
    start = {"cursor": 0, "entries": 0, "digest": EMPTY}
    statement = insert(ReferenceSetTable).values(values | start).returning(ReferenceSetTable.id)
    return read_set(session, session.scalars(statement).one())


def drop_set(session: Session, set_id: int) -> None:
    """Forget a set that was never finished."""
    session.execute(delete(ReferenceTable).where(ReferenceTable.set_id == set_id))
    session.execute(delete(ReferenceSetTable).where(ReferenceSetTable.id == set_id))


def add_references(
    session: Session, held: ReferenceSet, rows: Sequence[Reference], cursor: int, total: int | None = None
) -> ReferenceSet:
    """Store references and how far the source has been read, and return the set as it then stands; an id that stands
    already stays as it is. Raises SetTaken where another process fills the set."""
    mine = (ReferenceSetTable.id == held.id, ReferenceSetTable.created_at == held.created_at)
    here = update(ReferenceSetTable).where(*mine, ReferenceSetTable.cursor == held.cursor)
    if changed(session, here.values(cursor=cursor, total=total)) == 0:
        raise SetTaken(held.title)
    by_id = {row.source_id: row for row in rows}
    for batch in batches(list(by_id)):
        stand = select(ReferenceTable.source_id).where(
            ReferenceTable.set_id == held.id, ReferenceTable.source_id.in_(batch)
        )
        for source_id in session.scalars(stand):
            del by_id[source_id]
    values = [_row(held.id, row) for _, row in sorted(by_id.items())]
    add_rows(session, ReferenceTable, values)
    digest = add_digests([held.digest, digest_rows(_hashed(row) for row in values)])
    counted = {"entries": held.entries + len(values), "digest": digest}
    changed(session, update(ReferenceSetTable).where(ReferenceSetTable.id == held.id).values(counted))
    return read_set(session, held.id)


def finish_set(session: Session, held: ReferenceSet, scale: Mapping[str, Any] | None, now: float) -> ReferenceSet:
    """Let the title mean this set from now on; the one that bore it stays, for the campaigns that use it."""
    changed(session, update(ReferenceSetTable).where(ReferenceSetTable.name == held.title).values(name=None))
    digest = add_digests([held.digest, digest_rows([[held.title, held.level, scale]])])
    values = {"name": held.title, "scale": scale, "digest": digest, "finished_at": now}
    mine = (ReferenceSetTable.id == held.id, ReferenceSetTable.finished_at.is_(None))
    if changed(session, update(ReferenceSetTable).where(*mine).values(values)) == 0:
        raise SetTaken(held.title)
    return read_set(session, held.id)


def read_set(session: Session, set_id: int) -> ReferenceSet:
    """One set; raises NotFound."""
    found = _sets(session, select(*COLUMNS).where(ReferenceSetTable.id == set_id))
    if not found:
        raise NotFound("references", set_id, "`sluice data list` shows all")
    return found[0]


def named_sets(session: Session) -> list[ReferenceSet]:
    """The sets that have names, the latest first."""
    mine = select(*COLUMNS).where(ReferenceSetTable.name.is_not(None))
    return _sets(session, mine.order_by(ReferenceSetTable.finished_at.desc(), ReferenceSetTable.id.desc()))


def use_sets(session: Session, campaign_id: int, sets: Sequence[ReferenceSet]) -> None:
    """Let a campaign compare with these sets; the energies are those of the first that has a scale."""
    rows = [{"campaign_id": campaign_id, "set_id": held.id, "place": place} for place, held in enumerate(sets)]
    add_rows(session, CampaignReferenceTable, rows)


def campaign_sets(session: Session, campaign_id: int) -> list[ReferenceSet]:
    """The sets that a campaign compares with, in their order."""
    joined = select(*COLUMNS).join(CampaignReferenceTable, CampaignReferenceTable.set_id == ReferenceSetTable.id)
    mine = joined.where(CampaignReferenceTable.campaign_id == campaign_id)
    return _sets(session, mine.order_by(CampaignReferenceTable.place))


def smallest_of_each_element(session: Session, set_id: int, count: int) -> dict[str, tuple[dict[str, Any], float]]:
    """For each element so many of the set's smallest structures with energies: crystal and eV/atom by source id."""
    ids: dict[str, set[str]] = {}
    statement = select(ReferenceTable.source_id, ReferenceTable.chemical_system).where(
        ReferenceTable.set_id == set_id, ReferenceTable.energy_per_atom.is_not(None)
    )
    ordered = statement.order_by(ReferenceTable.nsites, ReferenceTable.source_id)
    for source_id, system in session.execute(ordered.execution_options(yield_per=1_000)):
        for symbol in system.split("-"):
            mine = ids.setdefault(symbol, set())
            if len(mine) < count:
                mine.add(source_id)
    chosen = sorted(set().union(*ids.values()))
    return dict(_crystals(session, set_id, chosen))


def lowest_energies(session: Session, set_id: int, systems: Iterable[str]) -> dict[str, float]:
    """The lowest energy in eV/atom of each formula in these chemical systems and in those within them."""
    wanted = sorted({part for system in systems for part in systems_within(system)})
    lowest = func.min(ReferenceTable.energy_per_atom)
    found: dict[str, float] = {}
    for batch in batches(wanted):
        statement = select(ReferenceTable.formula, lowest).where(
            ReferenceTable.set_id == set_id,
            ReferenceTable.chemical_system.in_(batch),
            ReferenceTable.energy_per_atom.is_not(None),
        )
        rows = session.execute(statement.group_by(ReferenceTable.formula))
        found |= {formula: energy for formula, energy in rows if energy is not None}
    return found


def known_crystals(session: Session, set_ids: Sequence[int], formulas: Iterable[str]) -> dict[str, list[KnownCrystal]]:
    """The stored structures of each formula that has any, by set and source id."""
    found: dict[str, list[KnownCrystal]] = {}
    for batch in batches(formulas):
        statement = (
            select(ReferenceTable, ReferenceSetTable.title)
            .join(ReferenceSetTable, ReferenceSetTable.id == ReferenceTable.set_id)
            .where(ReferenceTable.set_id.in_(set_ids), ReferenceTable.formula.in_(batch))
            .order_by(ReferenceTable.set_id, ReferenceTable.source_id)
        )
        for row, title in session.execute(statement):
            known_one = KnownCrystal(f"{title}/{row.source_id}", row.crystal, row.volume_per_atom)
            found.setdefault(row.formula, []).append(known_one)
    return found


def record_findings(session: Session, campaign_id: int, rows: Sequence[Finding]) -> None:
    """Store what was found of candidates."""
    mine = (CandidateTable.campaign_id == bindparam("_campaign"), CandidateTable.formula == bindparam("_formula"))
    names = ("known_structure", "hull_references")
    statement = update(CandidateTable).where(*mine).values({name: bindparam(f"_{name}") for name in names})
    values = [{"_campaign": campaign_id, **{f"_{key}": kept for key, kept in asdict(row).items()}} for row in rows]
    if values:
        session.connection().execute(statement, sorted(values, key=lambda row: row["_formula"]))


def mark_known_compositions(session: Session, campaign_id: int, chunk_id: int) -> None:
    """Note of a chunk's new candidates which reference has their composition; nothing where none are compared with."""
    compared = CampaignReferenceTable.campaign_id == campaign_id
    name = func.min(ReferenceSetTable.title + "/" + ReferenceTable.source_id)
    found = (
        select(name)
        .select_from(ReferenceTable)
        .join(ReferenceSetTable, ReferenceSetTable.id == ReferenceTable.set_id)
        .join(CampaignReferenceTable, CampaignReferenceTable.set_id == ReferenceTable.set_id)
        .where(compared, ReferenceTable.formula == CandidateTable.formula)
        .scalar_subquery()
    )
    if session.scalar(select(func.count()).where(compared)):
        mine = update(CandidateTable).where(CandidateTable.chunk_id == chunk_id)
        changed(session, mine.values(known_composition=func.coalesce(found, NEW)))


def _sets(session: Session, statement: Select[Any]) -> list[ReferenceSet]:
    return [ReferenceSet(**row) for row in session.execute(statement).mappings()]


def _crystals(session: Session, set_id: int, ids: Sequence[str]) -> Iterator[tuple[str, tuple[dict[str, Any], float]]]:
    columns = (ReferenceTable.source_id, ReferenceTable.crystal, ReferenceTable.energy_per_atom)
    for batch in batches(ids):
        statement = select(*columns).where(ReferenceTable.set_id == set_id, ReferenceTable.source_id.in_(batch))
        for source_id, crystal, energy in session.execute(statement.order_by(ReferenceTable.source_id)):
            yield source_id, (crystal, energy)


def _row(set_id: int, row: Reference) -> dict[str, Any]:
    return {
        "set_id": set_id,
        "source_id": row.source_id,
        "formula": row.crystal.formula,
        "chemical_system": chemical_system(row.crystal.species),
        "energy_per_atom": known(row.energy_per_atom),
        "crystal": row.crystal.to_dict(),
        "nsites": len(row.crystal.species),
        "volume_per_atom": volume_per_atom(row.crystal),
    }


def _hashed(row: Mapping[str, Any]) -> list[Any]:
    return [row[name] for name in ("source_id", "formula", "energy_per_atom", "crystal")]
