"""A client of the HTTP API: campaigns as typed values, candidates as pandas frames, crystals for pymatgen."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

import pandas as pd
import urllib3
from pymatgen.core import Structure

from api.errors import Declined, InvalidRequest, Unreachable
from api.frames import candidate_frame, explanation_frame, prediction_frame
from api.views.campaigns import CampaignBrief, CampaignList, CampaignStatus
from api.views.candidates import CandidateCard
from api.views.reports import CampaignReport
from api.views.tasks import Answer, FormulaExplanations, FormulaPredictions, FormulaStructures, Result, answer_of
from workers.compositions import parse_formula

PAGE = 1000
WAIT = 60.0  # seconds that one request waits for results
PAUSE = 1.0  # seconds before a connection that was lost is made anew
QUIET = 60.0  # seconds in which a server says something, if only that it is there
RETRIES = urllib3.Retry(
    total=5, backoff_factor=0.2, status_forcelist=(429, 502, 503), allowed_methods=None, raise_on_status=False
)
Spec = Mapping[str, Any] | str


class Client:
    """A connection to `sluice serve` under a token; every call raises Declined or Unreachable where it fails."""

    def __init__(self, url: str = "http://127.0.0.1:8000", token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._pool = urllib3.PoolManager(retries=RETRIES, timeout=urllib3.Timeout(connect=10.0, read=QUIET + WAIT))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._pool.clear()

    def create_campaign(self, spec: Spec, key: str | None = None) -> CampaignStatus:
        """Begin a campaign from a spec as a mapping or as TOML text; the same key and spec give the same campaign."""
        toml = isinstance(spec, str)
        body = spec.encode() if isinstance(spec, str) else json.dumps(spec).encode()
        kind = "application/toml" if toml else "application/json"
        made = self._ask("POST", "/v1/campaigns", body, {"Content-Type": kind, **_key(key)})
        return CampaignStatus.model_validate_json(made.data)

    def campaign(self, campaign_id: int) -> CampaignStatus:
        """How a campaign stands."""
        return CampaignStatus.model_validate_json(self._get(f"/v1/campaigns/{campaign_id}"))

    def campaigns(self) -> list[CampaignBrief]:
        """All campaigns, newest first."""
        page = self._campaign_page({})
        found = page.data
        while page.next is not None:
            page = self._campaign_page({"before": page.next})
            found += page.data
        return found

    def pause(self, campaign_id: int) -> CampaignStatus:
        """Let chunks under way end and start no others."""
        return self._moved(campaign_id, "pause")

    def resume(self, campaign_id: int) -> CampaignStatus:
        """Let a campaign go on."""
        return self._moved(campaign_id, "resume")

    def cancel(self, campaign_id: int) -> CampaignStatus:
        """End a campaign for good."""
        return self._moved(campaign_id, "cancel")

    def watch(self, campaign_id: int) -> Iterator[CampaignStatus]:
        """A campaign's status now and after each change, until it ends."""
        path = f"/v1/campaigns/{campaign_id}/events"
        stream = self._ask("GET", path, preload_content=False)
        try:
            for line in map(bytes.decode, stream):
                if line.startswith("data:"):
                    yield CampaignStatus.model_validate_json(line.removeprefix("data:"))
        except urllib3.exceptions.HTTPError as exc:
            raise Unreachable(self._url, exc) from exc
        finally:
            stream.close()  # what was not read would come before the next answer

    def wait(self, campaign_id: int) -> CampaignStatus:
        """A campaign once it has ended; a connection that is lost is made anew."""
        while True:
            with suppress(Unreachable):
                for status in self.watch(campaign_id):
                    if status.ended:
                        return status
            time.sleep(PAUSE)
            if (status := self.campaign(campaign_id)).ended:
                return status

    def report(self, campaign_id: int, top: int = 10) -> CampaignReport:
        """What a campaign found, as far as it is."""
        return CampaignReport.model_validate_json(self._get(f"/v1/campaigns/{campaign_id}/report", {"top": top}))

    def candidates(
        self, filter: str | None = None, campaign: int | None = None, sort: str = "-score", limit: int | None = None
    ) -> pd.DataFrame:
        """Candidates that an OPTIMADE filter selects, one a row, unknown values NaN."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while limit is None or len(rows) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(rows))
            asked = {"filter": filter, "campaign": campaign, "sort": sort, "limit": size, "cursor": cursor}
            page = json.loads(self._get("/v1/candidates", asked))
            rows += page["data"]
            cursor = page["next"]
            if cursor is None:
                break
        return candidate_frame(rows)

    def export(self, path: str | Path, filter: str | None = None, campaign: int | None = None) -> Path:
        """All such candidates in a file, whose suffix .csv, .jsonl or .parquet says how; memory holds none of them."""
        target = Path(path)
        if not target.suffix:
            raise InvalidRequest(f"{target}: a file that ends in .csv, .jsonl or .parquet is expected")
        asked = {"filter": filter, "campaign": campaign}
        stream = self._ask("GET", f"/v1/candidates{target.suffix}{_query(asked)}", preload_content=False)
        draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
        try:
            with draft.open("wb") as file:
                for piece in stream.stream(1 << 16):
                    file.write(piece)
            return draft.replace(target)
        except urllib3.exceptions.HTTPError as exc:
            raise Unreachable(self._url, exc) from exc
        finally:
            stream.close()
            draft.unlink(missing_ok=True)

    def candidate(self, candidate_id: int) -> CandidateCard:
        """Everything known of a candidate."""
        return CandidateCard.model_validate_json(self._get(f"/v1/candidates/{candidate_id}"))

    def structure(self, candidate_id: int, rank: int = 0) -> Structure:
        """A structure of a candidate, the best unless told."""
        text = self._get(f"/v1/candidates/{candidate_id}/structure", {"format": "json", "rank": rank})
        return Structure.from_dict(json.loads(text))

    def models(self) -> list[dict[str, Any]]:
        """The cards of all models."""
        return list(json.loads(self._get("/v1/models")))

    def predict(self, formulas: Sequence[str], **options: Any) -> pd.DataFrame:
        """Predictions, one formula a row in the order asked; `error` says why there are none."""
        answer = self._answer("predict", {"formulas": list(formulas), **options}, FormulaPredictions)
        return prediction_frame(answer.results or [], [parse_formula(text).formula for text in formulas])

    def generate(self, formulas: Sequence[str], **options: Any) -> dict[str, list[Structure]]:
        """Structures by canonical formula, best first; a formula that has none has an empty list."""
        answer = self._answer("generate", {"formulas": list(formulas), **options}, FormulaStructures)
        return {
            each.formula: [Structure.from_dict(found.structure) for found in each.structures]
            for each in answer.results or []
        }

    def explain(self, formulas: Sequence[str], **options: Any) -> pd.DataFrame:
        """What each set of players adds to the prediction of each formula, one a row."""
        answer = self._answer("explain", {"formulas": list(formulas), **options}, FormulaExplanations)
        return explanation_frame(answer.results or [])

    def _answer(self, task: str, wanted: Mapping[str, Any], kind: type[Result]) -> Answer[Result]:
        body = json.dumps(wanted).encode()
        headers = {"Content-Type": "application/json", **_key(None)}
        first = self._ask("POST", f"/v1/{task}{_query({'wait': WAIT})}", body, headers)
        answer = answer_of(kind).model_validate_json(first.data)
        if answer.results is None:
            self.wait(answer.campaign)
            answer = answer_of(kind).model_validate_json(self._get(f"/v1/{task}/{answer.campaign}"))
        return answer

    def _campaign_page(self, asked: Mapping[str, Any]) -> CampaignList:
        return CampaignList.model_validate_json(self._get("/v1/campaigns", {"limit": PAGE, **asked}))

    def _moved(self, campaign_id: int, move: str) -> CampaignStatus:
        return CampaignStatus.model_validate_json(self._ask("POST", f"/v1/campaigns/{campaign_id}/{move}").data)

    def _get(self, path: str, asked: Mapping[str, Any] | None = None) -> bytes:
        return self._ask("GET", path + _query(asked or {})).data

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        sent = {**self._headers, **(headers or {})}
        try:
            response = self._pool.request(
                method, self._url + path, body=body, headers=sent, preload_content=preload_content
            )
            if response.status < 400:
                return response
            told = response.data
        except urllib3.exceptions.HTTPError as exc:
            raise Unreachable(self._url, exc) from exc
        raise _declined(response.status, told)


def _declined(status: int, told: bytes) -> Declined:
    try:
        problem = json.loads(told)
        return Declined(status, problem["title"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        return Declined(status, "no problem of ours", told[:200].decode(errors="replace"))


def _key(key: str | None) -> dict[str, str]:
    """A key, so that a request whose answer was lost may be sent again."""
    return {"Idempotency-Key": key or uuid4().hex}


def _query(asked: Mapping[str, Any]) -> str:
    given = {name: value for name, value in asked.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
