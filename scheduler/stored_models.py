"""Models that the database keeps, as campaigns use them: known by hash, and read once by each node that runs them."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from scheduler.flow import own_role
from scheduler.settings import load_settings
from scheduler.spec import CampaignSpec
from storage.engine import open_database, reading
from storage.errors import DatabaseUnavailable
from storage.models import cached_checkpoint, campaign_models, fetch_checkpoint, read_stored
from workers.actors import LoadDelayed
from workers.cards import Card
from workers.models import load_model


@dataclass(frozen=True, slots=True)
class StoredLoader:
    """Loads the model with this hash wherever an actor runs; a node without its weights reads them first, and one that
    has them needs no database. Raises LoadDelayed while the database does not answer; whatever else fails ends the
    campaign."""

    database_url: str = field(repr=False)  # it may hold a password
    model_id: str

    def __call__(self, name: str, device: str) -> object:
        cache = load_settings(database_url=self.database_url).model_folder
        return load_model(str(cached_checkpoint(self.model_id, cache) or self._fetched(cache)), device)

    def _fetched(self, cache: Path) -> Path:
        try:
            engine = open_database(self.database_url, create=False)
            try:
                with reading(engine) as session:
                    return fetch_checkpoint(session, self.model_id, cache)
            finally:
                engine.dispose()
        except (DatabaseUnavailable, OperationalError, InterfaceError) as exc:
            raise LoadDelayed(str(exc).splitlines()[0]) from exc


def own_models(session: Session, campaign_id: int, spec: CampaignSpec) -> dict[str, Card]:
    """By name the cards of the predictors with which a campaign began, whatever their names mean by now."""
    ids = campaign_models(session, campaign_id)
    return {name: read_stored(session, ids[own_role(name)]) for name in spec.predict.predictors}
