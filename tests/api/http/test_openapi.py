"""The description says what the server does: generated requests, right and wrong, meet no surprise."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from api.service import Access
from storage.campaigns import campaigns_in, move_campaign
from storage.engine import open_database, transaction
from storage.states import CampaignState
from storage.tokens import NewToken, TokenRole, add_token

SECRET = "sluice_of-the-tester"
HOOKS = """
import schemathesis

@schemathesis.serializer("application/toml")
def toml(context, value):
    return {"data": value if isinstance(value, bytes) else str(value).encode(errors="replace")}
"""
# No JSON schema can say which formulas, filters and columns there are.
UNSAYABLE = "positive_data_acceptance"


@pytest.fixture
def described(screened: Path, tmp_path: Path, serve) -> Iterator[str]:
    """The address of a server whose campaigns end as soon as they have begun."""
    engine = open_database(str(shutil.copy(screened, tmp_path / "described.db")))
    with serve(engine, Access(rate=1e6)) as site:
        with transaction(engine) as session:
            for number in range(200):  # among which the tester's own is not soon revoked
                add_token(session, f"sluice_{number}", NewToken("one of many", TokenRole.READ), time.time())
            add_token(session, SECRET, NewToken("tester", TokenRole.ADMIN), time.time())
        stopping = threading.Event()
        ender = threading.Thread(target=end_campaigns, args=(engine, stopping))
        ender.start()
        yield site.url
        stopping.set()
        ender.join()
    engine.dispose()


def end_campaigns(engine: Engine, stopping: threading.Event) -> None:
    while not stopping.wait(0.2):
        with transaction(engine) as session:
            for campaign_id in campaigns_in(session, CampaignState.RUNNING):
                move_campaign(session, campaign_id, CampaignState.DONE, time.time())


@pytest.mark.timeout(1200)
def test_generated_requests_are_answered_as_described(described: str, tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS)
    asked = ["--phases", "examples,coverage,fuzzing", "--max-examples", "3", "--seed", "1", "--request-timeout", "60"]
    # A stream of events lasts as long as its campaign.
    left_out = ["--exclude-path-regex", "/events$", "--exclude-checks", UNSAYABLE]
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{described}/openapi.json", *asked, *left_out]
    done = subprocess.run(
        [*command, "--header", f"Authorization: Bearer {SECRET}", "--no-color"],
        cwd=tmp_path, env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:]
