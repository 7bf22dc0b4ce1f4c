"""Models by the hash of their weights: which campaign uses which, and the weights of those that users train."""

from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

from sqlalchemy import Select, insert, select, update
from sqlalchemy.orm import Session

from storage.errors import NotFound
from storage.rows import add_rows, changed
from storage.tables import CampaignModelTable, ModelTable, WeightsPartTable, WeightsTable
from workers.cards import CARD, WEIGHTS, Card, card_json, make_card, read_card, write_card

PART = 4 << 20  # bytes


def record_model(session: Session, model_id: str, name: str, card: Mapping[str, Any]) -> None:
    """Make a model known; one that is known already stays as it is."""
    add_rows(session, ModelTable, [{"id": model_id, "name": name, "card": dict(card)}])


def campaign_models(session: Session, campaign_id: int) -> dict[str, str]:
    """The model id of each role in a campaign."""
    statement = select(CampaignModelTable.role, CampaignModelTable.model_id)
    rows = session.execute(statement.where(CampaignModelTable.campaign_id == campaign_id))
    return dict(rows.all())


def store_checkpoint(session: Session, folder: Path) -> Card:
    """Keep a checkpoint's weights and card, and let its name mean it from now on; the weights of the name's former
    model stay, for campaigns that use it."""
    card = read_card(folder)
    released = update(WeightsTable).where(WeightsTable.name == card.name).values(name=None)
    changed(session, released)
    named = update(WeightsTable).where(WeightsTable.sha256 == card.model_id)
    if changed(session, named.values(name=card.name, card=card_json(card))) == 0:
        values = {"sha256": card.model_id, "name": card.name, "card": card_json(card)}
        session.execute(insert(WeightsTable).values(values))
        _store_parts(session, card.model_id, folder / WEIGHTS)
    return card


def stored_cards(session: Session) -> list[Card]:
    """The cards of the models that users train, by name."""
    statement = select(WeightsTable.card).where(WeightsTable.name.is_not(None)).order_by(WeightsTable.name)
    return [make_card(card) for card in session.scalars(statement)]


def find_stored(session: Session, name: str) -> Card | None:
    """The card that a name means now."""
    card = session.scalar(select(WeightsTable.card).where(WeightsTable.name == name))
    return None if card is None else make_card(card)


def read_stored(session: Session, model_id: str) -> Card:
    """The card of weights, whatever its name means now; raises NotFound."""
    card = session.scalar(select(WeightsTable.card).where(WeightsTable.sha256 == model_id))
    if card is None:
        raise NotFound("model", model_id, "the sha256 of stored weights is expected")
    return make_card(card)


def cached_checkpoint(model_id: str, cache: Path) -> Path | None:
    """The folder of a checkpoint that was fetched before."""
    folder = cache / model_id
    return folder if (folder / CARD).is_file() else None


def fetch_checkpoint(session: Session, model_id: str, cache: Path) -> Path:
    """The folder of a stored checkpoint inside a cache, written there unless it is there; raises NotFound."""
    if (cached := cached_checkpoint(model_id, cache)) is not None:
        return cached
    folder, card = cache / model_id, read_stored(session, model_id)
    draft = cache / f".{model_id}.{uuid4().hex}"  # threads and hosts may share a cache, and process ids
    draft.mkdir(parents=True)
    try:
        with (draft / WEIGHTS).open("wb") as file:
            for content in session.scalars(weights_parts(model_id).execution_options(yield_per=1)):
                file.write(content)
        write_card(draft, card)
        _settle(draft, folder)
    finally:
        rmtree(draft, ignore_errors=True)
    return folder


def weights_parts(model_id: str) -> Select[bytes]:
    """The statement for the bytes of stored weights, part after part."""
    own = select(WeightsPartTable.content).where(WeightsPartTable.sha256 == model_id)
    return own.order_by(WeightsPartTable.part)


def _settle(draft: Path, folder: Path) -> None:
    """Let a draft be the folder at once, unless another process was quicker."""
    try:
        draft.rename(folder)
    except OSError:
        if not (folder / CARD).is_file():
            raise


def _store_parts(session: Session, model_id: str, file: Path) -> None:
    with file.open("rb") as weights:
        part = 0
        while content := weights.read(PART):
            values = {"sha256": model_id, "part": part, "content": content}
            session.execute(insert(WeightsPartTable).values(values))
            part += 1
