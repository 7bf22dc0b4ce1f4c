"""Idempotency keys: a request that comes twice makes one campaign."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.errors import KeyTaken
from storage.tables import IdempotencyTable


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to count once: whose it is, the key that its sender gave it, and the digest of its body."""

    owner: str
    key: str
    digest: str


def remembered(session: Session, once: Once) -> int | None:
    """The campaign that this request made before; raises KeyTaken where its key came with another body."""
    mine = (IdempotencyTable.owner == once.owner, IdempotencyTable.key == once.key)
    row = session.execute(select(IdempotencyTable.digest, IdempotencyTable.campaign_id).where(*mine)).one_or_none()
    if row is not None and row.digest != once.digest:
        raise KeyTaken(once.key, row.campaign_id)
    return None if row is None else row.campaign_id


def remember(session: Session, once: Once, campaign_id: int) -> bool:
    """Note which campaign a request made; False where the same key was noted in the meantime."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = {"owner": once.owner, "key": once.key, "digest": once.digest, "campaign_id": campaign_id}
    statement = dialect.insert(IdempotencyTable.__table__).values(row).on_conflict_do_nothing()
    return session.scalar(statement.returning(IdempotencyTable.key)) is not None
