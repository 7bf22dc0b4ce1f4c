"""The models that people trained or brought, as a database keeps them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from api.connection import database_words, opened, settings_for
from scheduler.settings import SQLITE, load_settings
from storage.engine import reading, transaction
from storage.models import fetch_checkpoint, find_stored, store_checkpoint, stored_cards
from workers.cards import CARD, PRETRAINED, Card, load_checkpoint, pretrained_cards, read_card
from workers.errors import CheckpointError, UserError
from workers.generator.kinds import GENERATORS
from workers.learned_cards import KIND, renamed
from workers.properties import own_name_flaw


@dataclass(frozen=True, slots=True)
class Named:
    """A model by the name that people gave: where its checkpoint is, and the unit of a property that they added."""

    name: str
    path: str
    unit: str = ""


def named(name: str, url: str | None) -> Named:
    """A shipped model, else one of the database, else a folder with a checkpoint; raises UserError."""
    if (PRETRAINED / name / CARD).is_file():
        return Named(name, name)
    own: list[str] = []
    if own_name_flaw(name) is None:
        with existing(url) as engine:
            if engine is not None:
                with reading(engine) as session:
                    if (card := find_stored(session, name)) is not None:
                        return _named(card, fetch_checkpoint(session, card.model_id, settings_for(url).model_folder))
                    own = [known.name for known in stored_cards(session)]
    if not (Path(name) / CARD).is_file():
        known = ", ".join([*own, *(card.name for card in pretrained_cards())])
        raise UserError(f"model {name!r}: not found; {known}, or a folder with a checkpoint, is expected")
    try:
        return _named(read_card(Path(name)), Path(name))
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc


def _named(card: Card, folder: Path) -> Named:
    return Named(card.name, str(folder), str(card.config.get("unit", "")))


def own_cards(url: str | None) -> list[Card]:
    """The cards of the database's own models; none where there is no database."""
    with existing(url) as engine:
        if engine is None:
            return []
        with reading(engine) as session:
            return stored_cards(session)


def check_name(engine: Engine, name: str, replacing: bool) -> None:
    """Raise UserError where a property and its model cannot bear a name, or may not take it from another."""
    flaw = own_name_flaw(name)
    if flaw is None and name in {*GENERATORS, *GENERATORS.values(), *(card.name for card in pretrained_cards())}:
        flaw = "a shipped model goes by this name"
    if flaw is not None:
        raise UserError(f"--name {name!r}: {flaw}")
    with reading(engine) as session:
        taken = find_stored(session, name) is not None
    if taken and not replacing:
        raise UserError(f"--name {name!r}: a model of your own goes by this name; --yes replaces it")


def keep(engine: Engine, folder: Path) -> Card:
    """Store the checkpoint of a folder under the name of its card."""
    with transaction(engine) as session:
        return store_checkpoint(session, folder)


def bring(engine: Engine, folder: Path, name: str, replacing: bool) -> Card:
    """Store an exported checkpoint under a name, which is then that of its property; raises UserError."""
    check_name(engine, name, replacing)
    try:
        card, arrays = load_checkpoint(folder)
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    if card.kind != KIND:
        raise UserError(f"{folder}: a {card.kind}; a predictor that `sluice train predictor` made is expected")
    if name == card.name:
        return keep(engine, folder)
    with TemporaryDirectory() as draft:
        renamed(Path(draft), card, arrays, name)
        return keep(engine, Path(draft))


def next_step(name: str, url: str | None) -> str:
    """The command that asks a model of one's own."""
    return " ".join(["sluice predict --model", name, *database_words(settings_for(url)), "FORMULA"])


@contextmanager
def existing(url: str | None) -> Iterator[Engine | None]:
    """The database's engine; None where nobody named a database and the working folder has none."""
    settings = settings_for(url)
    default = settings.database_url == load_settings({}).database_url
    if default and not Path(settings.database_url.removeprefix(SQLITE)).exists():
        yield None
    else:
        with opened(url) as engine:
            yield engine
