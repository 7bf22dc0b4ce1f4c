"""Idempotency keys: one campaign for each key of an owner, and one body."""

import pytest

from storage.engine import transaction
from storage.errors import KeyTaken
from storage.idempotency import Once, remember, remembered

ONCE = Once("token 1", "k", "digest")


def test_a_request_that_comes_again_finds_its_campaign(yard) -> None:
    with transaction(yard.engine) as session:
        assert remembered(session, ONCE) is None
        assert remember(session, ONCE, yard.campaign_id)
        assert remembered(session, ONCE) == yard.campaign_id
        assert not remember(session, ONCE, yard.campaign_id)


def test_keys_of_two_owners_are_two_keys(yard) -> None:
    with transaction(yard.engine) as session:
        assert remember(session, ONCE, yard.campaign_id)
        assert remembered(session, Once("token 2", "k", "other")) is None


def test_a_key_with_another_body_is_refused(yard) -> None:
    with transaction(yard.engine) as session:
        assert remember(session, ONCE, yard.campaign_id)
        with pytest.raises(KeyTaken, match="'k'.*campaign 1 from another body"):
            remembered(session, Once("token 1", "k", "other"))
