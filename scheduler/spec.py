"""What a campaign shall do: the spec, its TOML form, and what people are told when it does not fit."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from scheduler.errors import InvalidSpec
from scheduler.flow import Role
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


class FileSource(Table):
    """The formulas of a file; `column` defaults to `formula`, else the first."""

    kind: Literal["file"]
    path: str
    column: str | None = None


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


Source = EnumerateSource | FileSource | ListSource


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


class Drawing(Table):
    """How crystal structures are drawn, ranked and relaxed, and what they are steered towards."""

    model: str = "crystal-generator"
    structures: Annotated[int, Field(ge=0, le=MOST_DRAWN)] = 8
    rank: Literal["likelihood", "energy", "both"] = "energy"
    relax_steps: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 30
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


class CspStage(Drawing):
    """Crystal structures for the best `top`, or for every survivor."""

    top: Count | None = None


class JudgeStage(Table):
    """Properties again, from the best structure."""

    model: str = "structure-predictor"


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
    key = ".".join(str(part) for part in error["loc"] if part not in ("enumerate", "file", "list"))
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
        "enumerate": EnumerateSource, "file": FileSource, "list": ListSource,
    }  # fmt: skip
    table = tables.get(place[-1], CampaignSpec) if place else CampaignSpec
    return list(table.model_fields)
