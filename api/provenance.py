"""Where each value of a candidate comes from: its model, its campaign and its chunk."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.text import Text
from sqlalchemy.orm import Session

from api.numbers import UNKNOWN, measured
from api.tables import heading, moment, plain_table
from scheduler.flow import ROLES, Role, own_role
from storage.campaigns import Campaign, read_campaign
from storage.candidates import BUILT_IN
from storage.histories import UsedModel, used_models
from storage.profiles import Profile
from storage.states import StageName
from storage.traces import MadeBy, chunks_behind
from workers.properties import STRUCTURE_PREFIX

SHORT = 12  # digits of a hash
Part = tuple[str, tuple[float | None, float | None], StageName, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Something stored, with its value and standard deviation if it is a number, and what made it."""

    name: str
    value: float | None
    std: float | None
    models: tuple[UsedModel, ...]
    made_by: MadeBy | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """The campaign of a candidate, and the origin of all that is stored of it."""

    campaign: Campaign
    origins: tuple[Origin, ...]


def trace(session: Session, profile: Profile) -> Provenance:
    """Everything that a profile holds, back to where it comes from."""
    models = {model.role: model for model in used_models(session, profile.campaign_id)}
    chunks = chunks_behind(session, profile.id)
    origins = tuple(
        Origin(name, *pair, tuple(models[role] for role in roles if role in models), chunks.get(stage))
        for name, pair, stage, roles in _parts(profile)
    )
    return Provenance(read_campaign(session, profile.campaign_id), origins)


def provenance_json(profile: Profile, found: Provenance) -> Mapping[str, Any]:
    """The same for programs, the campaign's spec included."""
    return {"id": profile.id, "formula": profile.formula, **asdict(found)}


def provenance_card(profile: Profile, found: Provenance) -> Group:
    """The same for people."""
    campaign = found.campaign
    title = Text(profile.formula, style="bold")
    made = f"seed {campaign.seed}, Sluice {campaign.code_version}, {moment(campaign.created_at)}"
    table = plain_table("value", "", "model", "stage", "chunk", "attempt", "worker", "recorded", "digest of the chunk")
    for origin in found.origins:
        models = ", ".join(f"{model.name} {model.model_id[:SHORT]}" for model in origin.models) or UNKNOWN
        number = "" if origin.value is None else measured(origin.name, origin.value, origin.std)
        table.add_row(heading(origin.name), number, models, *_cells(origin.made_by))
    line = f"candidate {profile.id} of campaign {campaign.id} ({campaign.name}): {made}"
    return Group(title, Text(line), Text(), table)


def _parts(profile: Profile) -> Iterator[Part]:
    """Names, values, and the stage and the roles that they come of."""
    for name, pair in profile.predictions.items():
        if name.startswith(STRUCTURE_PREFIX):
            yield name, pair, StageName.JUDGE, (Role.STRUCTURE,)
        else:
            yield name, pair, StageName.PREDICT, (_predictor(name),)
    if profile.structures:
        yield f"{len(profile.structures)} structures", (None, None), StageName.CSP, ROLES[StageName.CSP]
    for row in profile.explanations:
        yield f"{row['index']} of {row['property']}", (None, None), StageName.EXPLAIN, (_predictor(row["property"]),)


def _predictor(name: str) -> str:
    return Role.COMPOSITION if name in BUILT_IN else own_role(name)


def _cells(made_by: MadeBy | None) -> tuple[str, ...]:
    if made_by is None:
        return (UNKNOWN,) * 6
    where = (made_by.stage, str(made_by.chunk_id), str(made_by.attempt), made_by.worker_id or UNKNOWN)
    return *where, moment(made_by.done_at), made_by.digest or UNKNOWN
