from math import nan

from storage.candidates import NewCandidate
from storage.engine import transaction
from storage.profiles import read_profile
from storage.structures import NewStructure, best_crystals, record_structures

CRYSTAL = {"lattice": [4.1, 4.1, 4.1, 90.0, 90.0, 90.0], "species": ["Cs", "I"], "coords": [[0, 0, 0], [0.5, 0.5, 0.5]]}


def test_structures_are_kept_best_first_and_once(yard) -> None:
    yard.keep(NewCandidate("CsI", ("Cs", "I"), 1.0, {}))
    worse = NewStructure("CsI", 1, 5, CRYSTAL, 225, 2, energy_per_atom=nan)
    best = NewStructure("CsI", 0, 3, CRYSTAL, 221, 2, -1.5, -3.25, relaxed=True, copies=4)
    with transaction(yard.engine) as session:
        for _ in range(2):
            record_structures(session, yard.campaign_id, [worse, best])
        profile = read_profile(session, "CsI")
        assert best_crystals(session, yard.campaign_id, ["CsI", "KCl"]) == {"CsI": CRYSTAL}
    assert [(row["rank"], row["energy_per_atom"], row["copies"]) for row in profile.structures] == [
        (0, -3.25, 4),
        (1, None, 1),
    ]
    assert profile.space_group == 221


def test_a_structure_without_its_candidate_is_not_kept(yard) -> None:
    with transaction(yard.engine) as session:
        record_structures(session, yard.campaign_id, [NewStructure("CsI", 0, 3, CRYSTAL, 221, 2)])
        assert best_crystals(session, yard.campaign_id, ["CsI"]) == {}
