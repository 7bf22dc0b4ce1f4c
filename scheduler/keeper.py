"""The machine of a host while a server lasts: started when a campaign has work, kept for a while after the last."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from scheduler.campaigns import check_models, pause_campaign
from scheduler.errors import CampaignStands
from scheduler.runs import check_disk, keep_source
from scheduler.settings import Settings
from scheduler.supervisor import Machine, machine
from storage.campaigns import campaigns_in, read_campaign
from storage.engine import reading
from storage.states import CampaignState
from workers.errors import SluiceError, UserError

LOOK_SECONDS = 0.25
RETRY_SECONDS = 10.0
WARM_SECONDS = 300.0  # models stay loaded for the next request
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Keeper:
    """Whose machine it is, for how many idle seconds it is kept, and which campaigns may run on it."""

    settings: Settings
    engine: Engine
    warm: float = WARM_SECONDS
    stopping: threading.Event = field(default_factory=threading.Event)
    admitted: set[int] = field(default_factory=set)

    def keep(self) -> None:
        """Run whatever campaigns there are until told to stop; what goes wrong is logged and tried again."""
        while not self.stopping.is_set():
            try:
                self._run_machine()
                pause = LOOK_SECONDS
            except (SluiceError, SQLAlchemyError, OSError) as exc:
                log.error("%s", exc)
                pause = RETRY_SECONDS
            except Exception:  # without its keeper a server would take campaigns that nobody runs
                log.exception("the machine failed")
                pause = RETRY_SECONDS
            self.stopping.wait(pause)

    def _run_machine(self) -> None:
        running = self._running()
        if not running:
            return
        check_disk(self.settings, running[0])
        with machine(self.settings, self.engine) as parts:
            if parts is None:
                self.stopping.wait(1.0)  # another process runs the machine, and with it all campaigns
                return
            used = time.monotonic()
            while not self.stopping.is_set() and time.monotonic() - used < self.warm:
                if self._tend(parts):
                    used = time.monotonic()
                self.stopping.wait(LOOK_SECONDS)

    def _tend(self, parts: Machine) -> bool:
        """One look at the machine and at its campaigns; whether any of them runs."""
        parts.check(time.monotonic())
        running = self._running()
        for campaign_id in running:
            check_disk(self.settings, campaign_id)
            if campaign_id not in self.admitted:
                self._admit(campaign_id, parts)
        return bool(running)

    def _admit(self, campaign_id: int, parts: Machine) -> None:
        """See that a campaign can run here; pause one that cannot."""
        with reading(self.engine) as session:
            campaign = read_campaign(session, campaign_id)
        try:
            check_models(self.engine, campaign)
            keep_source(self.engine, campaign, lambda lines: parts.check(time.monotonic()))
        except UserError as exc:
            log.error("campaign %d is paused: %s", campaign_id, exc)
            with suppress(CampaignStands):  # somebody paused or ended it in the meantime
                pause_campaign(self.engine, campaign_id)
            return
        self.admitted.add(campaign_id)

    def _running(self) -> list[int]:
        with reading(self.engine) as session:
            return campaigns_in(session, CampaignState.RUNNING)


@contextmanager
def keeping(settings: Settings, engine: Engine) -> Iterator[None]:
    """Run campaigns in a thread while the context lasts."""
    keeper = Keeper(settings, engine)
    thread = threading.Thread(target=keeper.keep, name="keeper")
    thread.start()
    try:
        yield
    finally:
        keeper.stopping.set()
        thread.join()
