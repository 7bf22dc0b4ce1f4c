"""Leadership among dispatchers: one row with an epoch that every move names."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from storage.rows import changed
from storage.tables import LeaderTable


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, since which epoch, and the counter that shows it alive."""

    epoch: int
    holder: str
    counter: int


def leads(epoch: int) -> ColumnElement[bool]:
    """The condition that this epoch is still the leading one."""
    return exists().where(LeaderTable.id == 1, LeaderTable.epoch == epoch)


def read_leader(session: Session) -> Leader:
    """The row as it stands; the holder is empty where nobody leads."""
    row = session.execute(select(LeaderTable.epoch, LeaderTable.holder, LeaderTable.counter)).one()
    return Leader(*row)


def take_leadership(session: Session, holder: str, seen: Leader) -> int | None:
    """The new epoch, or None where the row is no longer what was seen: the old leader lives or another was first."""
    statement = (
        update(LeaderTable)
        .where(LeaderTable.epoch == seen.epoch, LeaderTable.counter == seen.counter, LeaderTable.holder == seen.holder)
        .values(epoch=seen.epoch + 1, holder=holder, counter=0)
    )
    return seen.epoch + 1 if changed(session, statement) else None


def renew_leadership(session: Session, epoch: int) -> bool:
    """Raise the counter; False where another leads by now."""
    statement = update(LeaderTable).where(LeaderTable.epoch == epoch, LeaderTable.holder != "")
    return changed(session, statement.values(counter=LeaderTable.counter + 1)) == 1


def resign(session: Session, epoch: int) -> bool:
    """Give leadership up, so that the next one need not wait."""
    statement = update(LeaderTable).where(LeaderTable.epoch == epoch, LeaderTable.holder != "")
    return changed(session, statement.values(epoch=epoch + 1, holder="", counter=0)) == 1
