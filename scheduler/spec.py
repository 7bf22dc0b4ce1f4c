"""What a campaign shall do: the spec, its TOML form, and what people are told when it does not fit."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from scheduler.errors import InvalidSpec
from scheduler.flow import Role
from storage.states import StageName
from workers.errors import UserError
from workers.explanations import BUDGET, MOST_COALITIONS, ORDERS, Index, Players
from workers.filters import contradiction, parse_filter, properties_of
from workers.generator.conditions import BY_NAME
from workers.generator.conditions import check as check_condition
from workers.generator.kinds import full_name
from workers.generator.symmetry.vocabulary import MAX_ATOMS
from workers.scores import DEFAULT_SCORE, NAMES, parse_score

PREDICTED = ("band_gap", "formation_energy_per_atom", "e_above_hull")
FILTERABLE = frozenset({*PREDICTED, *(f"{name}_std" for name in PREDICTED), "formula", "elements", "nelements"})
SCORABLE = NAMES & FILTERABLE
Count = Annotated[int, Field(ge=1)]
Wish = Annotated[float | None, Field(strict=False)]


class Table(BaseModel):
    """A table of the spec; it takes no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EnumerateSource(Table):
    """Charge-balanced compositions of these elements."""

    kind: Literal["enumerate"]
    cations: list[str]
    anions: list[str]
    cation_counts: list[int] = [2, 3]
    anion_counts: list[int] = [1]
    max_amount: Count = 8
    max_atoms: Annotated[int, Field(ge=2)] = 20


class FileSource(Table):
    """The formulas of a file; `column` defaults to `formula`, else the first."""

    kind: Literal["file"]
    path: str
    column: str | None = None


class PredictStage(Table):
    """Properties from the composition, what of it survives, and which is better."""

    model: str = "composition-predictor"
    where: str | None = None
    score: str = DEFAULT_SCORE

    @field_validator("where")
    @classmethod
    def _checked_where(cls, text: str | None) -> str | None:
        if text is not None:
            check_where(text)
        return text

    @field_validator("score")
    @classmethod
    def _checked_score(cls, text: str) -> str:
        try:
            parse_score(text, SCORABLE)
        except UserError as exc:
            raise ValueError(str(exc)) from exc
        return text


class CspStage(Table):
    """Crystal structures for the best `top`, or for every survivor, and what they are steered towards."""

    model: str = "crystal-generator"
    top: Count | None = None
    structures: Annotated[int, Field(ge=0)] = 8
    rank: Literal["likelihood", "energy", "both"] = "energy"
    relax_steps: Annotated[int, Field(ge=0)] = 30
    temperature: Annotated[float, Field(gt=0, le=5, strict=False)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1, strict=False)] = 1.0
    guidance: Annotated[float, Field(ge=0, le=20, strict=False)] = 1.0
    space_group: Annotated[int, Field(ge=1, le=230)] | None = None
    max_atoms: Annotated[int, Field(ge=1, le=MAX_ATOMS)] = 20
    density: Wish = None
    band_gap: Wish = None
    magnetization_density: Wish = None
    hhi: Wish = None
    bulk_modulus: Wish = None

    @field_validator("model")
    @classmethod
    def _full_model(cls, name: str) -> str:
        return full_name(name)

    @field_validator(*BY_NAME)
    @classmethod
    def _checked_wish(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None:
            try:
                check_condition(str(info.field_name), value)
            except UserError as exc:
                raise ValueError(str(exc)) from exc
        return value

    @property
    def wanted(self) -> tuple[tuple[str, float], ...]:
        """The conditions that are asked for."""
        values = ((name, getattr(self, name)) for name in BY_NAME)
        return tuple((name, value) for name, value in values if value is not None)


class JudgeStage(Table):
    """Properties again, from the best structure."""

    model: str = "structure-predictor"


class ExplainStage(Table):
    """Which elements make the prediction, for the best `top`.

    A formula with fewer players than `order` has all its sets of players explained. A formula with more coalitions than
    `budget` is estimated from so many, or from the least that its order needs.
    """

    top: Annotated[int, Field(ge=0)] = 10
    property: Literal["band_gap", "formation_energy_per_atom", "e_above_hull"] = "band_gap"
    index: Index = "k-SII"
    order: Annotated[int, Field(ge=ORDERS.start, lt=ORDERS.stop)] = 2
    players: Players = "elements"
    budget: Annotated[int, Field(ge=1, le=MOST_COALITIONS)] = BUDGET


class CampaignSpec(Table):
    """One screening."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = "campaign"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    source: Annotated[EnumerateSource | FileSource, Field(discriminator="kind")]
    predict: PredictStage = PredictStage()
    csp: CspStage | None = None
    judge: JudgeStage = JudgeStage()
    explain: ExplainStage | None = None


def check_where(text: str) -> None:
    """Raise ValueError unless the text is a filter over what is predicted that some value can satisfy."""
    try:
        tree = parse_filter(text)
    except UserError as exc:
        raise ValueError(str(exc)) from exc
    if unknown := sorted(properties_of(tree) - FILTERABLE):
        raise ValueError(f"{unknown[0]!r} is not predicted; {', '.join(sorted(FILTERABLE))} are accepted")
    if impossible := contradiction(tree):
        raise ValueError(f"{text!r} selects nothing: {impossible}")


def stages_of(spec: CampaignSpec) -> tuple[StageName, ...]:
    """The stages that the spec asks for, in the order of the funnel."""
    stages = [StageName.PREDICT]
    if spec.csp is not None and spec.csp.structures > 0:
        stages += [StageName.CSP, StageName.JUDGE]
    if spec.explain is not None and spec.explain.top > 0:
        stages.append(StageName.EXPLAIN)
    return tuple(stages)


def model_names(spec: CampaignSpec) -> dict[Role, str]:
    """The models that a spec asks for, by role."""
    csp = spec.csp or CspStage()
    return {Role.COMPOSITION: spec.predict.model, Role.GENERATOR: csp.model, Role.STRUCTURE: spec.judge.model}


def load_spec(path: Path) -> CampaignSpec:
    """The spec in a TOML file, its source's path taken from the file's folder; raises InvalidSpec."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise InvalidSpec(f"{path}: no such file; a TOML spec is expected") from exc
    except UnicodeDecodeError as exc:
        raise InvalidSpec(f"{path}: not UTF-8 text (byte {exc.start}); a TOML spec is expected") from exc
    except tomllib.TOMLDecodeError as exc:
        raise InvalidSpec(f"{path}: not TOML: {exc}") from exc
    except OSError as exc:
        raise InvalidSpec(f"{path}: {exc.strerror}; a readable TOML spec is expected") from exc
    source = data.get("source")
    if isinstance(source, dict) and isinstance(source.get("path"), str):
        source["path"] = str(path.absolute().parent / source["path"])  # a resume may come from another folder
    return parse_spec(data, str(path))


def parse_spec(data: dict[str, object], place: str) -> CampaignSpec:
    """The spec that these tables spell; raises InvalidSpec with the first thing that does not fit."""
    try:
        return CampaignSpec.model_validate(data)
    except ValidationError as exc:
        raise InvalidSpec(f"{place}: {_in_one_line(exc.errors()[0])}") from exc


def _in_one_line(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in ("enumerate", "file"))
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {key!r}; {', '.join(_accepted(error['loc'][:-1]))} are accepted"
        case "missing" | "union_tag_not_found":
            what = f"{key}.kind" if error["type"] == "union_tag_not_found" else key
            return f"{what} is missing"
        case "value_error":
            return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{key} = {error['input']!r}: {message}"


def _accepted(place: tuple[int | str, ...]) -> list[str]:
    tables: dict[int | str, type[Table]] = {
        "predict": PredictStage, "csp": CspStage, "judge": JudgeStage, "explain": ExplainStage,
        "enumerate": EnumerateSource, "file": FileSource,
    }  # fmt: skip
    table = tables.get(place[-1], CampaignSpec) if place else CampaignSpec
    return list(table.model_fields)
