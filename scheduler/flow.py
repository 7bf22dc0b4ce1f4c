"""How stages follow one another, and which models they ask."""

from collections.abc import Mapping
from enum import StrEnum

from storage.states import StageName
from workers.generator.kinds import KINDS as GENERATOR_KINDS
from workers.generator.kinds import PROPOSERS

UPSTREAM: dict[StageName, StageName | None] = {
    StageName.PREDICT: None,
    StageName.CSP: StageName.PREDICT,
    StageName.JUDGE: StageName.CSP,
    StageName.EXPLAIN: StageName.PREDICT,
}


class Role(StrEnum):
    """What a model does in a campaign."""

    PROPOSER = "proposer"
    COMPOSITION = "composition"
    GENERATOR = "generator"
    STRUCTURE = "structure"


KINDS: dict[Role, tuple[str, ...]] = {
    Role.PROPOSER: PROPOSERS,
    Role.COMPOSITION: ("composition-predictor",),
    Role.GENERATOR: GENERATOR_KINDS,
    Role.STRUCTURE: ("structure-predictor",),
}
ROLES: dict[StageName, tuple[Role, ...]] = {
    StageName.PREDICT: (Role.COMPOSITION,),
    StageName.CSP: (Role.GENERATOR, Role.STRUCTURE),
    StageName.JUDGE: (Role.STRUCTURE,),
    StageName.EXPLAIN: (Role.COMPOSITION,),
}


def own_role(name: str) -> str:
    """The role of a predictor of one's own in a campaign."""
    return f"property {name}"


def streams(spec: Mapping[str, object], stage: StageName) -> bool:
    """Whether a stage takes survivors before its upstream has closed; one that takes the best so many cannot."""
    csp = spec.get("csp")
    top = csp.get("top") if isinstance(csp, Mapping) else None
    return stage == StageName.JUDGE or (stage == StageName.CSP and top is None)
