from storage.engine import transaction
from storage.models import list_models, record_model


def test_a_model_is_known_by_its_hash(engine) -> None:
    with transaction(engine) as session:
        record_model(session, "b" * 64, "predictor", {"tile": 256})
        record_model(session, "a" * 64, "generator", {})
        record_model(session, "b" * 64, "other name", {})
        models = list_models(session)
    assert [(model.name, model.card) for model in models] == [("generator", {}), ("predictor", {"tile": 256})]
