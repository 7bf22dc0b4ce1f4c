"""What a campaign shall do: the spec, its TOML form, and what people are told when it does not fit."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from scheduler.errors import InvalidSpec
from scheduler.flow import ROLES, Role
from storage.states import StageName
from workers.compositions import parse_formula
from workers.errors import UserError
from workers.explanations import BUDGET, MOST_COALITIONS, ORDERS, Index, Players
from workers.filters import contradiction, properties_of
from workers.generator.conditions import BY_NAME
from workers.generator.conditions import check as check_condition
from workers.generator.kinds import full_name
from workers.generator.symmetry.vocabulary import MAX_ATOMS
from workers.probabilities import chances_in, parse_screen_filter
from workers.properties import STD, own_name_flaw
from workers.scores import DEFAULT_SCORE, NAMES, parse_score
from workers.substitution import Substitution

PREDICTED = ("band_gap", "formation_energy_per_atom", "e_above_hull")
FILTERABLE = frozenset({*PREDICTED, *(name + STD for name in PREDICTED), "formula", "elements", "nelements"})
SCORABLE = NAMES & FILTERABLE
MOST_LISTED = 1000  # formulas in a spec; a file holds more
MOST_DRAWN = 10_000  # structures of a formula, which a worker has in hand at once
MOST_STEPS = 10_000
MOST = 2**31 - 1  # of anything that a database counts
Count = Annotated[int, Field(ge=1, le=MOST)]
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


class FormulaFile(Table):
    """A file of formulas; `column` defaults to `formula`, else the first."""

    path: str
    column: str | None = None


class FileSource(FormulaFile):
    """The formulas of a file."""

    kind: Literal["file"]


class SubstituteSource(FormulaFile):
    """What comes of the formulas of a file when elements take the place of others, one or several at once."""

    kind: Literal["substitute"]
    replace: dict[str, list[str]]
    charge_balanced: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            self.substitution()
        except UserError as exc:
            raise ValueError(str(exc)) from exc
        return self

    def substitution(self) -> Substitution:
        """What is done to each formula."""
        return Substitution(self.replace, self.charge_balanced)


class ListSource(Table):
    """These formulas; the same one twice counts once."""

    kind: Literal["list"]
    formulas: Annotated[list[str], Field(min_length=1, max_length=MOST_LISTED)]

    @field_validator("formulas")
    @classmethod
    def _distinct_formulas(cls, texts: list[str]) -> list[str]:
        try:
            return list(dict.fromkeys(parse_formula(text).formula for text in texts))
        except UserError as exc:
            raise ValueError(str(exc)) from exc


class Wishes(Table):
    """What a generator is asked for, and how freely it draws."""

    model: str = "crystal-generator"
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


class GenerateSource(Wishes):
    """So many formulas that a generator proposes for what is wished; csp wishes the same unless it says otherwise."""

    kind: Literal["generate"]
    count: Count
    charge_balanced: bool = False
    novel: bool = False  # leave out the compositions of known phases


Source = EnumerateSource | FileSource | GenerateSource | ListSource | SubstituteSource


class PredictStage(Table):
    """Properties from the composition, what of it survives, and which is better."""

    model: str = "composition-predictor"
    predictors: list[str] = []  # of your own; each predicts the property of its name
    where: str | None = None
    score: str = DEFAULT_SCORE

    @field_validator("predictors")
    @classmethod
    def _checked_predictors(cls, names: list[str]) -> list[str]:
        for name in names:
            if flaw := own_name_flaw(name):
                raise ValueError(f"{name!r} is no predictor of your own: {flaw}")
            if names.count(name) > 1:
                raise ValueError(f"{name!r} stands there twice")
        return names

    @field_validator("where")
    @classmethod
    def _checked_where(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None:
            check_where(text, info.data.get("predictors", []))
        return text

    @field_validator("score")
    @classmethod
    def _checked_score(cls, text: str, info: ValidationInfo) -> str:
        try:
            parse_score(text, SCORABLE | with_stds(info.data.get("predictors", [])))
        except UserError as exc:
            raise ValueError(str(exc)) from exc
        return text

    @property
    def scorable(self) -> frozenset[str]:
        """The names that a score may use."""
        return SCORABLE | with_stds(self.predictors)


class Drawing(Wishes):
    """How crystal structures are drawn, ranked and relaxed, and what they are steered towards."""

    structures: Annotated[int, Field(ge=0, le=MOST_DRAWN)] = 8
    rank: Literal["likelihood", "energy", "both"] = "energy"
    relax_steps: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 30


class CspStage(Drawing):
    """Crystal structures for the best `top`, or for every survivor."""

    top: Count | None = None


class JudgeStage(Table):
    """Properties again, from the best structure."""

    model: str = "structure-predictor"
    references: list[str] | None = None  # sets of the database, by name; all of them, the latest first, where unset


class Explaining(Table):
    """Which elements make the prediction.

    A formula with fewer players than `order` has all its sets of players explained. A formula with more coalitions than
    `budget` is estimated from so many, or from the least that its order needs.
    """

    property: Literal["band_gap", "formation_energy_per_atom", "e_above_hull"] = "band_gap"
    index: Index = "k-SII"
    order: Annotated[int, Field(ge=ORDERS.start, lt=ORDERS.stop)] = 2
    players: Players = "elements"
    budget: Annotated[int, Field(ge=1, le=MOST_COALITIONS)] = BUDGET


class ExplainStage(Explaining):
    """Which elements make the prediction, for the best `top`."""

    top: Annotated[int, Field(ge=0, le=MOST)] = 10


class CampaignSpec(Table):
    """One screening."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = "campaign"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    source: Annotated[Source, Field(discriminator="kind")]
    predict: PredictStage = PredictStage()
    csp: CspStage | None = None
    judge: JudgeStage = JudgeStage()
    explain: ExplainStage | None = None

    @model_validator(mode="before")
    @classmethod
    def _same_wishes(cls, data: object) -> object:
        """Crystals are drawn as their formulas were proposed, but for what csp says itself."""
        if not isinstance(data, Mapping):
            return data
        source, csp = data.get("source"), data.get("csp")
        if not isinstance(source, Mapping) or not isinstance(csp, Mapping) or source.get("kind") != "generate":
            return data
        wishes = {name: source[name] for name in Wishes.model_fields if name in source}
        return {**data, "csp": {**wishes, **csp}}

    @field_validator("name")
    @classmethod
    def _printable_name(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError(f"{name!r}: printable text is expected")
        return name


def check_where(text: str, predictors: Sequence[str] = ()) -> None:
    """Raise ValueError unless the text is a filter over what is predicted that some value can satisfy."""
    try:
        tree = parse_screen_filter(text)
    except UserError as exc:
        raise ValueError(str(exc)) from exc
    accepted = FILTERABLE | with_stds(predictors)
    if unknown := sorted(properties_of(tree) - accepted):
        own = "a predictor of your own is named in predictors"
        raise ValueError(f"{unknown[0]!r} is not predicted; {', '.join(sorted(accepted))} are accepted; {own}")
    if without := sorted({chance.property for chance in chances_in(tree)}.difference(PREDICTED, predictors)):
        raise ValueError(f"P(…) of {without[0]!r}: {', '.join((*PREDICTED, *predictors))} are accepted")
    if impossible := contradiction(tree):
        raise ValueError(f"{text!r} selects nothing: {impossible}")


def with_stds(names: Sequence[str]) -> frozenset[str]:
    """Properties, and their standard deviations."""
    return frozenset(name + end for name in names for end in ("", STD))


def stages_of(spec: CampaignSpec) -> tuple[StageName, ...]:
    """The stages that the spec asks for, in the order of the funnel."""
    stages = [StageName.PREDICT]
    if spec.csp is not None and spec.csp.structures > 0:
        stages += [StageName.CSP, StageName.JUDGE]
    if spec.explain is not None and spec.explain.top > 0:
        stages.append(StageName.EXPLAIN)
    return tuple(stages)


def roles_of(spec: CampaignSpec) -> tuple[Role, ...]:
    """The roles that the source and the stages need filled, each once."""
    roles = [role for stage in stages_of(spec) for role in ROLES[stage]]
    if isinstance(spec.source, GenerateSource):
        roles += (Role.PROPOSER, Role.STRUCTURE) if spec.source.novel else (Role.PROPOSER,)
    return tuple(dict.fromkeys(roles))


def model_names(spec: CampaignSpec) -> dict[Role, str]:
    """The models that a spec asks for, by role."""
    csp = spec.csp or CspStage()
    names = {Role.COMPOSITION: spec.predict.model, Role.GENERATOR: csp.model, Role.STRUCTURE: spec.judge.model}
    return names | ({Role.PROPOSER: spec.source.model} if isinstance(spec.source, GenerateSource) else {})


SOURCES: dict[int | str, type[Table]] = {
    "enumerate": EnumerateSource, "file": FileSource, "generate": GenerateSource, "list": ListSource,
    "substitute": SubstituteSource,
}  # fmt: skip


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


def flaws(data: dict[str, object]) -> list[str]:
    """All that does not fit in these tables, a line each."""
    try:
        CampaignSpec.model_validate(data)
    except ValidationError as exc:
        return [_in_one_line(error) for error in exc.errors()]
    return []


def _in_one_line(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in SOURCES)
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
        **SOURCES,
    }  # fmt: skip
    table = tables.get(place[-1], CampaignSpec) if place else CampaignSpec
    return list(table.model_fields)
