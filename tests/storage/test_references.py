"""Sets of references: filled, resumed, replaced, and what a campaign reads of them; on both databases."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine

from storage.candidates import NewCandidate
from storage.engine import reading, transaction
from storage.errors import SetTaken
from storage.filters import FINDINGS
from storage.queries import Query, query
from storage.references import (
    Finding,
    NewSet,
    ReferenceSet,
    add_references,
    begin_set,
    campaign_sets,
    drop_set,
    finish_set,
    known_crystals,
    lowest_energies,
    mark_known_compositions,
    named_sets,
    record_findings,
    smallest_of_each_element,
    use_sets,
)
from workers.crystals import Crystal
from workers.filters import parse_filter
from workers.references import Reference

SCALE = {"model": {"shifts": {"Ba": 0.1, "Te": 0.0}, "spread": 0.01, "structures": 3}}


def crystal(*species: str, edge: float = 5.0) -> Crystal:
    coords = tuple((i / len(species),) * 3 for i in range(len(species)))
    return Crystal((edge, edge, edge, 90.0, 90.0, 90.0), species, coords)


def rows() -> list[Reference]:
    return [
        Reference("mp-1", crystal("Ba", "Te"), -1.8),
        Reference("mp-2", crystal("Te", "Ba", edge=6.0), -1.5),
        Reference("mp-3", crystal("Ba", "Te", "Te"), None),
        Reference("mp-4", crystal("Te"), 0.0),
        Reference("mp-5", crystal("Na", "Cl"), -2.1),
    ]


def filled(engine: Engine, title: str = "mp", given: Sequence[Reference] = (), scale: object = None) -> ReferenceSet:
    with transaction(engine) as session:
        held = begin_set(session, NewSet(title, "PBE", {"file": title}), now=1.0)
        held = add_references(session, held, given or rows(), 5)
        return finish_set(session, held, scale, now=2.0)  # type: ignore[arg-type]


def test_a_set_bears_its_name_only_when_all_has_come(engine: Engine) -> None:
    with transaction(engine) as session:
        held = begin_set(session, NewSet("mp", "PBE", {}), now=1.0)
        assert named_sets(session) == []
        held = add_references(session, held, rows(), 5, total=7)
        assert (held.entries, held.cursor, held.total, held.name) == (5, 5, 7, None)
        done = finish_set(session, held, SCALE, now=2.0)
        assert named_sets(session) == [done] and (done.name, done.scale) == ("mp", SCALE)


def test_what_was_begun_goes_on_only_with_the_same_origin(engine: Engine) -> None:
    new, other = NewSet("mp", "PBE", {"release": "1"}), NewSet("mp", "PBE", {"release": "2"})
    with transaction(engine) as session:
        held = add_references(session, begin_set(session, new, now=1.0), rows()[:2], 2, total=5)
    with transaction(engine) as session:
        assert begin_set(session, new, now=3.0, resume=True) == held
    with transaction(engine) as session:
        again = begin_set(session, other, now=4.0, resume=True)
        assert (again.entries, again.cursor, again.total) == (0, 0, None)
        assert lowest_energies(session, again.id, ["Ba-Te"]) == {}
        with pytest.raises(SetTaken):
            add_references(session, held, rows()[2:], 3)


def test_two_that_fill_one_set_do_not_mix(engine: Engine) -> None:
    with transaction(engine) as session:
        held = begin_set(session, NewSet("mp", "PBE", {}), now=1.0)
        add_references(session, held, rows()[:2], 2)
        with pytest.raises(SetTaken):
            add_references(session, held, rows()[2:], 3)


def test_the_digest_is_that_of_the_content_however_it_came(engine: Engine) -> None:
    with transaction(engine) as session:
        held = begin_set(session, NewSet("mp", "PBE", {}), now=1.0)
        held = add_references(session, held, rows()[3:], 2)
        held = add_references(session, held, [*rows()[:3], rows()[3]], 5)  # one of them comes again
        pieces = finish_set(session, held, None, now=9.0)
    whole, changed = filled(engine), filled(engine, given=[*rows()[:4], Reference("mp-5", crystal("Na", "Cl"), -2.2)])
    assert pieces.entries == whole.entries == 5
    assert pieces.digest == whole.digest != changed.digest
    assert filled(engine, scale=SCALE).digest != whole.digest


def test_a_new_set_takes_the_name_and_campaigns_keep_the_former(engine: Engine, yard) -> None:
    first = filled(yard.engine)
    with transaction(yard.engine) as session:
        use_sets(session, yard.campaign_id, [first])
    second = filled(yard.engine, given=rows()[:1])
    with reading(yard.engine) as session:
        assert [held.id for held in named_sets(session)] == [second.id]
        [kept] = campaign_sets(session, yard.campaign_id)
        assert (kept.id, kept.name, kept.title, kept.digest) == (first.id, None, "mp", first.digest)
        assert set(lowest_energies(session, kept.id, ["Ba-Te"])) == {"BaTe", "Te"}


def test_phases_are_the_lowest_of_each_formula_within_the_system(engine: Engine) -> None:
    held = filled(engine)
    with reading(engine) as session:
        assert lowest_energies(session, held.id, ["Ba-Te", "K"]) == {"BaTe": -1.8, "Te": 0.0}
        assert lowest_energies(session, held.id, ["Ba-Cl-Na"]) == {"NaCl": -2.1}
        assert lowest_energies(session, held.id, []) == {}


def test_known_structures_by_formula_come_from_all_sets(engine: Engine) -> None:
    first = filled(engine)
    second = filled(engine, "mine", [Reference("a/b", crystal("Ba", "Te", edge=4.0), None)])
    with reading(engine) as session:
        found = known_crystals(session, [first.id, second.id], ["BaTe", "KCl"])
        assert set(found) == {"BaTe"}
        assert [one.name for one in found["BaTe"]] == ["mp/mp-1", "mp/mp-2", "mine/a/b"]
        assert [one.volume_per_atom for one in found["BaTe"]] == pytest.approx([62.5, 108.0, 32.0])
        assert Crystal.from_dict(found["BaTe"][0].crystal) == rows()[0].crystal


def test_the_sample_has_the_smallest_of_each_element_that_has_an_energy(engine: Engine) -> None:
    held = filled(engine)
    with reading(engine) as session:
        assert set(smallest_of_each_element(session, held.id, 1)) == {"mp-1", "mp-4", "mp-5"}
        assert set(smallest_of_each_element(session, held.id, 9)) == {"mp-1", "mp-2", "mp-4", "mp-5"}


def test_a_dropped_set_leaves_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        held = add_references(session, begin_set(session, NewSet("mp", "PBE", {}), now=1.0), rows(), 5)
        drop_set(session, held.id)
        assert known_crystals(session, [held.id], ["BaTe"]) == {}


def test_candidates_are_known_or_new_and_filters_find_them(yard) -> None:
    held = filled(yard.engine)
    with transaction(yard.engine) as session:
        use_sets(session, yard.campaign_id, [held])
    chunk = yard.keep(NewCandidate("BaTe", ("Ba", "Te"), 1.0, {}), NewCandidate("KI", ("K", "I"), 0.5, {}))
    with transaction(yard.engine) as session:
        mark_known_compositions(session, yard.campaign_id, chunk.id)
        record_findings(session, yard.campaign_id, [Finding("BaTe", "mp/mp-2", "mp"), Finding("KI", "new", "estimate")])
    with reading(yard.engine) as session:
        found = {row["formula"]: [row[name] for name in FINDINGS] for row in query(session, Query())}
        assert found == {"BaTe": ["mp/mp-1", "mp/mp-2", "mp"], "KI": ["new", "new", "estimate"]}
        for text, formulas in [
            ('known_composition = "new"', ["KI"]),
            ('_sluice_known_structure STARTS WITH "mp/"', ["BaTe"]),
            ('NOT _sluice_hull_references = "estimate"', ["BaTe"]),
            ("known_structure IS KNOWN", ["BaTe", "KI"]),
        ]:
            assert [row["formula"] for row in query(session, Query(parse_filter(text)))] == formulas, text


def test_without_sets_nothing_is_said_of_candidates(yard) -> None:
    chunk = yard.keep(NewCandidate("BaTe", ("Ba", "Te"), 1.0, {}))
    with transaction(yard.engine) as session:
        mark_known_compositions(session, yard.campaign_id, chunk.id)
        [row] = query(session, Query())
    assert [row[name] for name in FINDINGS] == [None, None, None]
