from sqlalchemy import select

from storage.engine import transaction
from storage.models import record_model
from storage.tables import ModelTable


def test_a_model_is_known_by_its_hash(engine) -> None:
    with transaction(engine) as session:
        record_model(session, "b" * 64, "predictor", {"tile": 256})
        record_model(session, "a" * 64, "generator", {})
        record_model(session, "b" * 64, "other name", {})
        models = session.execute(select(ModelTable.name, ModelTable.card).order_by(ModelTable.id)).all()
    assert [tuple(row) for row in models] == [("generator", {}), ("predictor", {"tile": 256})]
