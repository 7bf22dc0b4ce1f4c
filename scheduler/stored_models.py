"""Models that the database keeps, as campaigns use them: known by hash, and read once by each node that runs them."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from scheduler.flow import own_role
from scheduler.settings import load_settings
from scheduler.spec import CampaignSpec
from storage.engine import open_database, reading
from storage.models import campaign_models, fetch_checkpoint, read_stored
from workers.cards import Card
from workers.models import load_model


@dataclass(frozen=True, slots=True)
class StoredLoader:
    """Loads the model with this hash wherever an actor runs; a node without its weights reads them first."""

    database_url: str
    model_id: str

    def __call__(self, name: str, device: str) -> object:
        settings = load_settings(database_url=self.database_url)
        engine = open_database(settings.database_url, create=False)
        try:
            with reading(engine) as session:
                folder = fetch_checkpoint(session, self.model_id, settings.model_folder)
        finally:
            engine.dispose()
        return load_model(str(folder), device)


def own_models(session: Session, campaign_id: int, spec: CampaignSpec) -> dict[str, Card]:
    """By name the cards of the predictors with which a campaign began, whatever their names mean by now."""
    ids = campaign_models(session, campaign_id)
    return {name: read_stored(session, ids[own_role(name)]) for name in spec.predict.predictors}
